package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"conduit/internal/app"
	"conduit/internal/store/storetest"
)

// documented runs the shell commands of docs/backup.md that hold a word, in a folder and with variables.
func documented(t *testing.T, word, folder string, variables ...string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/backup.md")
	if err != nil {
		t.Fatal(err)
	}
	var script string
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```")
	for _, block := range blocks.FindAllSubmatch(page, -1) {
		if strings.Contains(string(block[1]), word) {
			script += string(block[1])
		}
	}
	if script == "" {
		t.Fatalf("docs/backup.md has no commands with %q", word)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	if err := os.Symlink(self, filepath.Join(programs, "conduit")); err != nil {
		t.Fatal(err)
	}
	path := programs + ":" + os.Getenv("PATH")
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails for malformed patterns only
	for _, bin := range installed {
		path += ":" + bin
	}
	shell := exec.CommandContext(t.Context(), "sh", "-eu")
	shell.Dir, shell.Stdin = folder, strings.NewReader(script)
	shell.Env = append(append(os.Environ(), asProgram+"=yes", "PATH="+path), variables...)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// TestBackup takes a backup in the midst of writes, loses the database and restores it: what had been answered before
// the backup is there, and who was logged in still is.
func TestBackup(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		folder := t.TempDir()
		keyFile, backup := filepath.Join(folder, "conduit.key"), "BACKUP="+filepath.Join(folder, "backup")
		sqlite := strings.HasPrefix(url, "sqlite:")
		if sqlite {
			url = "sqlite:" + filepath.Join(folder, "conduit.db")
		}
		i := serveOn(t, url, keyFile, "--demo=false")
		token, _ := i.tokenOf(t, "/users")
		const article = `{"article":{"title":"Before","description":"d","body":"b"}}`
		if status, text := i.do(t, "POST", "/articles", token, article); status != http.StatusCreated {
			t.Fatal(status, text)
		}
		writing := make(chan struct{})
		go func() {
			defer close(writing)
			for range 50 {
				i.do(t, "POST", "/articles", token, strings.ReplaceAll(article, "Before", "Meanwhile"))
			}
		}()
		if sqlite {
			out := documented(t, "conduit backup", folder, backup)
			if !strings.Contains(out, "without the key-encryption key") {
				t.Error(out)
			}
			if info, err := os.Stat(filepath.Join(folder, "backup")); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the backup's mode: %v, %v", info, err)
			}
		} else {
			documented(t, "pg_dump", folder, backup, "DATABASE="+url)
		}
		<-writing
		after := strings.ReplaceAll(article, "Before", "After")
		if status, text := i.do(t, "POST", "/articles", token, after); status != http.StatusCreated {
			t.Fatal(status, text)
		}
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}

		if sqlite {
			documented(t, "rm -f", folder, backup)
		} else {
			url = storetest.EmptyPostgres(t)
			documented(t, "pg_restore", folder, backup, "NEW_DATABASE="+url)
		}
		i = serveOn(t, url, keyFile, "--demo=false")
		for path, want := range map[string]int{
			"/user": http.StatusOK, "/articles/before": http.StatusOK, "/articles/after": http.StatusNotFound,
		} {
			if status, text := i.do(t, "GET", path, token, ""); status != want {
				t.Errorf("GET %s after the restore: %d %s, want %d", path, status, text, want)
			}
		}
		// The rules that triggers and constraints hold came along.
		const taken = `{"user":{"username":"JAKE","email":"j@example.com","password":"jakes secret"}}`
		if status, text := i.do(t, "POST", "/users", "", taken); status != http.StatusConflict {
			t.Errorf("a taken name after the restore: %d %s", status, text)
		}
		out := documented(t, "sessions revoke --all", folder, "CONDUIT_DATABASE="+url, "CONDUIT_KEY_FILE="+keyFile)
		if status, text := i.do(t, "GET", "/user", token, ""); status != http.StatusUnauthorized {
			t.Errorf("after all sessions were ended: %d %s; %s", status, text, out)
		}
		if err := i.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestBackupRefuses: it never replaces a file, makes no empty database of a mistyped name, and leaves nothing
// half-made.
func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	database, taken := filepath.Join(folder, "conduit.db"), filepath.Join(folder, "taken")
	if _, err := invoke(t, map[string]string{"CONDUIT_DATABASE": "sqlite:" + database}, "migrate", "up"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(taken, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
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
		_, err := invoke(t, map[string]string{"CONDUIT_DATABASE": test.database}, "backup", test.file)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	variables := map[string]string{
		"CONDUIT_DATABASE":           typo,
		"CONDUIT_KEY_ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
	}
	for _, command := range []string{
		"users list", "sessions list", "audit", "keys list", "migrate status", "migrate down --yes",
		"serve --migrate=false --listen=127.0.0.1:0",
	} {
		_, err := invoke(t, variables, strings.Fields(command)...)
		if err == nil || !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s on a database that is not there: %v", command, err)
		}
	}
	if text, err := os.ReadFile(taken); err != nil || !bytes.Equal(text, []byte("precious")) {
		t.Errorf("the file that was there: %q, %v", text, err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := file.Name(); name == "new" || name == "typo.db" || strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s was left behind", name)
		}
	}
}

// TestCopyOfTheFileAlone holds docs/backup.md to what it says of a copy without the log beside it.
func TestCopyOfTheFileAlone(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	database, copied := filepath.Join(folder, "conduit.db"), filepath.Join(folder, "copy.db")
	i := serveOn(t, "sqlite:"+database, filepath.Join(folder, "conduit.key"), "--demo=false")
	i.tokenOf(t, "/users")
	text, err := os.ReadFile(database)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{database: "jake", copied: "lacks the migration 0001"} {
		out, err := invoke(t, map[string]string{"CONDUIT_DATABASE": "sqlite:" + file}, "users", "list")
		if err != nil {
			out = err.Error()
		}
		if !strings.Contains(out, want) {
			t.Errorf("%s: %s, want %q", file, out, want)
		}
	}
	if err := i.stop(); err != nil {
		t.Error(err)
	}
}

func TestDatabaseFromFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "named.db")
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named := file("named", "\n"+url+" \n")
	one := func(variable, value string) map[string]string { return map[string]string{variable: value} }
	both := map[string]string{"CONDUIT_DATABASE": url, "CONDUIT_DATABASE_FILE": named}
	for name, test := range map[string]struct {
		variables map[string]string
		args      string
		want      string // of the error; "" for none
	}{
		"flag":                {nil, "--database-file=" + named, ""},
		"variable":            {one("CONDUIT_DATABASE_FILE", named), "", ""},
		"flag, variable":      {one("CONDUIT_DATABASE", "sqlite:/no/such"), "--database-file=" + named, ""},
		"variable, flag":      {one("CONDUIT_DATABASE_FILE", "/no/such"), "--database=" + url, ""},
		"both flags":          {nil, "--database=" + url + " --database-file=" + named, "--database is given too"},
		"both variables":      {both, "", "--database-file (CONDUIT_DATABASE_FILE): --database is given too"},
		"no file":             {nil, "--database-file=" + filepath.Join(folder, "none"), "no such file"},
		"a file of no lines":  {nil, "--database-file=" + file("empty", " \n"), "want one line"},
		"a file of two lines": {nil, "--database-file=" + file("two", url+"\n"+url), "want one line"},
		"a file of no URL":    {nil, "--database-file=" + file("bad", "secret word"), "want sqlite:FILE"},
	} {
		_, err := invoke(t, test.variables, append([]string{"migrate", "up"}, strings.Fields(test.args)...)...)
		got := fmt.Sprint(err)
		if test.want == "" && err != nil || !strings.Contains(got, test.want) {
			t.Errorf("%s: %s, want %q", name, got, test.want)
		}
		if strings.Contains(got, "secret word") {
			t.Errorf("%s: the error holds what the file does: %s", name, got)
		}
	}
}
