//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package storetest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestServerLife kills the supervisor of a server of its own, starts another in what the first left behind, and leaves.
func TestServerLife(t *testing.T) {
	t.Parallel()
	// Not in t.TempDir, whose path is too long for a socket, and which root's server could not enter.
	folder := serverFolder(t.TempDir())
	running := filepath.Join(folder, runningLock)

	users, err := join(folder)
	if _, missing := findPrograms(); missing != nil {
		// What is left to promise without a server's programs is that one is told what to install.
		if err == nil || !strings.Contains(err.Error(), "install") {
			t.Errorf("without programs: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	first := supervisorOf(t, folder)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitUnlocked(t, running)
	users.Close()

	users, err = join(folder)
	if err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	if second := supervisorOf(t, folder); second == first {
		t.Errorf("no new supervisor")
	}
	if err := execute(serverDSN(folder), "select 1"); err != nil {
		t.Errorf("after a crash: %v", err)
	}

	other, err := join(folder)
	if err != nil {
		t.Fatalf("a second user: %v", err)
	}
	other.Close()
	users.Close()
	awaitUnlocked(t, running)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if remains, _ := filepath.Glob(folder + "*"); len(remains) > 0 {
		t.Errorf("left behind: %v", remains)
	}
}

func TestServerFolder(t *testing.T) {
	t.Setenv("TMPDIR", "/"+strings.Repeat("long/", 20))
	one, two := serverFolder("/checkout/one"), serverFolder("/checkout/two")
	if one == two {
		t.Errorf("two checkouts share %s", one)
	}
	if length := len(socket(one)); length > socketLimit {
		t.Errorf("the path of the socket has %d bytes", length)
	}
}

func TestMakeFolderRefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := makeFolder(link); err == nil {
		t.Errorf("a link was taken for the folder")
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	folders := []string{"/usr/local/pgsql/bin", "/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/15/bin",
		"/opt/homebrew/opt/postgresql@17/bin"}
	if !slices.IsSortedFunc(folders, func(a, b string) int { return int(version(a)*10) - int(version(b)*10) }) {
		t.Errorf("not in the order of their versions: %v", folders)
	}
}

// supervisorOf is the process that keeps a folder's server.
func supervisorOf(t *testing.T, folder string) (pid int) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, runningLock))
	if err != nil {
		t.Fatal(err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// awaitUnlocked returns when nobody holds a lock: when its holder has ended.
func awaitUnlocked(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := flock(file, syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}
