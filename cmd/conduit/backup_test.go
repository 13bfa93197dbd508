package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store/storetest"
)

// documented runs those shell commands of docs/backup.md that hold a word, in a folder and with variables.
func documented(t *testing.T, word, folder string, variables ...string) string {
	t.Helper()
	var script string
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```")
	for _, block := range blocks.FindAllStringSubmatch(document(t, "backup.md"), -1) {
		if strings.Contains(block[1], word) {
			script += block[1]
		}
	}
	if script == "" {
		t.Fatalf("docs/backup.md has no commands with %q", word)
	}
	self, err := os.Executable()
	must(t, err)
	programs := t.TempDir()
	must(t, os.Symlink(self, filepath.Join(programs, "conduit")))
	path := programs + ":" + os.Getenv("PATH")
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails for malformed patterns only
	for _, bin := range installed {
		path += ":" + bin
	}
	command := exec.CommandContext(t.Context(), "sh", "-eu")
	command.Dir, command.Stdin = folder, strings.NewReader(script)
	command.Env = append(append(os.Environ(), asProgram+"=yes", "PATH="+path), variables...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// TestBackup takes a backup in the midst of writes, loses the database and restores it. Whatever was answered before
// the backup is there, and users are still logged in.
func TestBackup(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		keyFile, backup := filepath.Join(folder, "conduit.key"), "BACKUP="+filepath.Join(folder, "backup")
		sqlite := isSQLite(url)
		if sqlite {
			url = "sqlite:" + filepath.Join(folder, "conduit.db")
		}
		i := serveOn(t, url, keyFile, "--demo=false")
		token := i.register(t, "jake")
		article := func(title string) string {
			return `{"article":{"title":"` + title + `","description":"d","body":"b"}}`
		}
		i.want(t, 201, "POST /articles", token, article("Before"))
		var writing sync.WaitGroup
		writing.Go(func() {
			for range 50 {
				got, err := i.send(t.Context(), "POST /articles", token, article("Meanwhile"))
				if err != nil || got.status != http.StatusCreated {
					t.Errorf("meanwhile: %v %v", got, err)
				}
			}
		})
		if sqlite {
			wantWords(t, documented(t, "conduit backup", folder, backup), "without the key-encryption key")
			wantPrivate(t, filepath.Join(folder, "backup"))
		} else {
			documented(t, "pg_dump", folder, backup, "DATABASE="+url)
		}
		writing.Wait()
		i.want(t, 201, "POST /articles", token, article("After"))
		i.stop(t)

		if sqlite {
			documented(t, "rm -f", folder, backup)
		} else {
			url = storetest.EmptyPostgres(t)
			documented(t, "pg_restore", folder, backup, "NEW_DATABASE="+url)
		}
		i = serveOn(t, url, keyFile, "--demo=false")
		i.want(t, 200, "GET /user", token)
		i.want(t, 200, "GET /articles/before", token)
		i.want(t, 404, "GET /articles/after", token)
		// The backup has the triggers and constraints too.
		i.want(t, 409, "POST /users", "",
			`{"user":{"username":"JAKE","email":"j@example.com","password":"jakes secret"}}`)
		documented(t, "sessions revoke --all", folder, "CONDUIT_DATABASE="+url, "CONDUIT_KEY_FILE="+keyFile)
		i.want(t, 401, "GET /user", token)
	})
}

// TestBackupRefuses: a backup never replaces a file, and leaves no half of one. No command makes an empty database of a
// mistyped name.
func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	database, taken := filepath.Join(folder, "conduit.db"), filepath.Join(folder, "taken")
	shell{"CONDUIT_DATABASE": "sqlite:" + database}.run(t, "migrate up")
	must(t, os.WriteFile(taken, []byte("precious"), 0o600))
	fresh, typo := filepath.Join(folder, "new"), "sqlite:"+filepath.Join(folder, "typo.db")
	for name, test := range map[string]struct{ database, file, want string }{
		"a file that is there":   {"sqlite:" + database, taken, "file already exists"},
		"the database itself":    {"sqlite:" + database, database, "file already exists"},
		"a folder that is not":   {"sqlite:" + database, filepath.Join(folder, "no", "file"), "no such file"},
		"a database that is not": {typo, fresh, "no such file"},
		"no database":            {"sqlite:" + taken, fresh, "not a database"},
		"in memory":              {app.InMemory, fresh, "pg_dump"},
		"PostgreSQL":             {"postgres://somebody@127.0.0.1:1/none", fresh, "pg_dump"},
	} {
		_, err := shell{"CONDUIT_DATABASE": test.database}.try(t, "backup", test.file)
		refused(t, name, err, test.want)
	}
	mistyped := shell{
		"CONDUIT_DATABASE":           typo,
		"CONDUIT_KEY_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
	}
	for _, command := range []string{
		"users list", "sessions list", "audit", "keys list", "migrate status", "migrate down --yes",
		"serve --migrate=false --listen=127.0.0.1:0",
	} {
		mistyped.refuses(t, "no such file", command)
	}
	text, err := os.ReadFile(taken)
	must(t, err)
	wantSame(t, "the file that was there", "precious", string(text))
	files, err := os.ReadDir(folder)
	must(t, err)
	for _, file := range files {
		if name := file.Name(); name == "new" || name == "typo.db" || strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s was left behind", name)
		}
	}
}

// TestCopyOfTheFileAlone: a copy without the log beside it lacks data, as docs/backup.md says.
func TestCopyOfTheFileAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	database, copied := filepath.Join(folder, "conduit.db"), filepath.Join(folder, "copy.db")
	i := serveOn(t, "sqlite:"+database, filepath.Join(folder, "conduit.key"), "--demo=false")
	i.register(t, "jake")
	text, err := os.ReadFile(database)
	must(t, err)
	must(t, os.WriteFile(copied, text, 0o600))
	wantWords(t, shell{}.run(t, "users list --database", "sqlite:"+database), "jake")
	shell{}.refuses(t, "lacks the migration 0001", "users list --database", "sqlite:"+copied)
}

// TestDatabaseFromFile: a file may name the database. A flag wins over both variables, and two flags or two variables
// are a mistake.
func TestDatabaseFromFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "named.db")
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	named := file("named", "\n"+url+" \n")
	for name, command := range map[string]string{
		"flag":           "migrate up --database-file=" + named,
		"variable":       "CONDUIT_DATABASE_FILE=" + named + " migrate up",
		"flag, variable": "CONDUIT_DATABASE=sqlite:/no/such migrate up --database-file=" + named,
		"variable, flag": "CONDUIT_DATABASE_FILE=/no/such migrate up --database=" + url,
	} {
		if _, err := (shell{}).try(t, command); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, test := range map[string]struct{ command, want string }{
		"both flags": {"migrate up --database=" + url + " --database-file=" + named, "--database is given too"},
		"both variables": {"CONDUIT_DATABASE=" + url + " CONDUIT_DATABASE_FILE=" + named + " migrate up",
			"--database-file (CONDUIT_DATABASE_FILE): --database is given too"},
		"no file":             {"migrate up --database-file=" + filepath.Join(folder, "none"), "no such file"},
		"a file of no lines":  {"migrate up --database-file=" + file("empty", " \n"), "want one line"},
		"a file of two lines": {"migrate up --database-file=" + file("two", url+"\n"+url), "want one line"},
		"a file of no URL":    {"migrate up --database-file=" + file("bad", "secret word"), "want sqlite:FILE"},
	} {
		_, err := shell{}.try(t, test.command)
		refused(t, name, err, test.want)
		if strings.Contains(fmt.Sprint(err), "secret word") {
			t.Errorf("%s: the error holds what the file does: %v", name, err)
		}
	}
}
