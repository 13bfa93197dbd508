//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package storetest

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// programPlaces are the patterns of the folders in which packages put PostgreSQL's programs. Debian, for one, keeps
// them out of PATH because several versions can be installed together.
var programPlaces = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                   // PostgreSQL's packages for Red Hat
	"/usr/local/pgsql/bin",                               // make install
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on ARM
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
}

// findPrograms gives the folder with initdb and postgres: the first in PATH, else the newest version installed.
func findPrograms() (folder string, err error) {
	var installed []string
	for _, pattern := range programPlaces {
		found, _ := filepath.Glob(pattern) // It fails for malformed patterns only.
		installed = append(installed, found...)
	}
	slices.SortStableFunc(installed, func(a, b string) int { return cmp.Compare(version(b), version(a)) })

	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), installed...) {
		if filepath.IsAbs(folder) && executable(folder, "initdb") && executable(folder, "postgres") {
			return folder, nil
		}
	}
	return "", errors.New("the programs initdb and postgres are not installed: " +
		"install the server (Debian and Ubuntu: apt-get install postgresql; Homebrew: brew install postgresql) " +
		"or set " + serverVariable + " to the DSN of a server whose user may create databases")
}

func executable(folder, name string) bool {
	_, err := exec.LookPath(filepath.Join(folder, name))
	return err == nil
}

var numeral = regexp.MustCompile(`\d+(\.\d+)?`)

// version is the version a folder's name tells, 0 if it tells none.
func version(folder string) float64 {
	v, _ := strconv.ParseFloat(numeral.FindString(folder), 64)
	return v
}
