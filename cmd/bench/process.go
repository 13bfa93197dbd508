package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// crowd is how many log in at once where memory is measured.
const crowd = 64

// printProcess prints what the program takes by itself: on an empty SQLite database, with its demo content. It is
// measured first, since nothing else may run.
func printProcess(ctx context.Context, stdout io.Writer, conduit, folder string, rest time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file, err := os.Stat(conduit)
	if err != nil {
		return err
	}
	trivial, _, err := startTime(ctx, func(int) (string, string, []string) { return self, "", []string{bareArgument} })
	if err != nil {
		return err
	}
	own, ownCPU, err := startTime(ctx, func(i int) (string, string, []string) {
		return fresh(conduit, filepath.Join(folder, fmt.Sprint("start-", i)))
	})
	if err != nil {
		return err
	}
	row(stdout, "process", "measured")
	rule(stdout, 1, 1)
	row(stdout, "size of the binary, MB", number(float64(file.Size())/1e6, 1))
	row(stdout, "start of the bare server until it answers, ms", number(trivial, 1))
	row(stdout, "first start on SQLite until it answers, demo content included, ms", number(own, 1))
	row(stdout, "CPU of that start, ms", number(ownCPU, 1))

	one := &server{}
	program, database, arguments := fresh(conduit, filepath.Join(folder, "memory"))
	one.database = database
	if err := one.launch(ctx, program, arguments...); err != nil {
		return err
	}
	defer func() { _ = one.stop() }()
	time.Sleep(3 * time.Second) // until what the start took is given back
	row(stdout, "memory at rest, MB", one.memory("VmRSS"))
	logins := &benchCase{connections: crowd, requests: func(s *server, _ int) func() []byte {
		return func() []byte { return s.loggingIn("johndoe", "password123") }
	}}
	answers, err := logins.load(ctx, one, crowd, 0)
	if err != nil {
		return err
	}
	if answers.statuses[http.StatusOK] != crowd {
		return fmt.Errorf("%d logins at once: %s", crowd, answers.statusList())
	}
	row(stdout, fmt.Sprintf("highest during %d logins at once, MB", crowd), one.memory("VmHWM"))
	row(stdout, "right after them, MB", one.memory("VmRSS"))
	time.Sleep(rest)
	row(stdout, fmt.Sprintf("%v after them, MB", rest), one.memory("VmRSS"))
	return nil
}

// fresh returns what starts Conduit on a new database that gets demo content. Nobody is slowed down there, for all of
// the crowd have one account.
func fresh(conduit, stem string) (program, database string, arguments []string) {
	return conduit, "sqlite:" + stem + ".db", []string{"serve", "--listen=127.0.0.1:0", "--log-level=warn", "--demo",
		"--account-attempts=0", "--key-file=" + stem + ".key"}
}

// startTime returns the medians, in ms, of how long it takes until a program answers its first request, and of the CPU
// time that it takes until then.
func startTime(
	ctx context.Context, nth func(i int) (program, database string, arguments []string),
) (took, cpu float64, err error) {
	var times, usages []time.Duration
	for i := range 9 {
		program, database, arguments := nth(i)
		one := &server{database: database}
		begun := time.Now()
		if err := one.launch(ctx, program, arguments...); err != nil {
			return 0, 0, err
		}
		client, err := connect(ctx, one.address)
		if err == nil {
			_, _, err = client.exchange(one.request(http.MethodGet, "/api/tags", "", "")) // 404 is an answer too
			times = append(times, time.Since(begun))
			usages = append(usages, usageOf(one.process.Process.Pid).since(nil))
			_ = client.conn.Close()
		}
		if err != nil {
			return 0, 0, err
		}
		if err := one.stop(); err != nil {
			return 0, 0, err
		}
	}
	slices.Sort(times)
	slices.Sort(usages)
	middle := len(times) / 2
	return times[middle].Seconds() * 1000, usages[middle].Seconds() * 1000, nil
}

// memory returns one of the figures that Linux has of a process's memory, in MB; nothing where there is none.
func (s *server) memory(name string) string {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		return ""
	}
	kib, _ := strconv.ParseFloat(string(found[1]), 64) // digits
	return number(kib*1024/1e6, 0)
}
