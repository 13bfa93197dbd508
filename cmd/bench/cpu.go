package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// usage is how much CPU time processes have taken, by their ids.
type usage map[int]time.Duration

// usageOf reads it from Linux. Elsewhere, and of processes on other machines, nothing is known.
func usageOf(pids ...int) usage {
	all := usage{}
	for _, pid := range pids {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is good
		for _, thread := range threads {
			var onCPU time.Duration // in nanoseconds, the first number
			text, err := os.ReadFile(thread)
			if n, _ := fmt.Sscan(string(text), &onCPU); err == nil && n == 1 { // else the thread has ended
				all[pid] += onCPU
			}
		}
	}
	return all
}

// since returns what was taken since an earlier time. A process that was not there then has taken all since.
func (u usage) since(earlier usage) (taken time.Duration) {
	for pid, onCPU := range u {
		taken += onCPU - earlier[pid]
	}
	return taken
}

// databaseUsage is the usage of PostgreSQL's processes.
func (s *servers) databaseUsage(ctx context.Context) (usage, error) {
	if s.monitor == nil {
		return usage{}, nil
	}
	rows, err := s.monitor.Query(ctx, "select pid from pg_stat_activity where pid <> pg_backend_pid()")
	if err != nil {
		return nil, err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, err
	}
	all := usage{}
	for pid, onCPU := range usageOf(pids...) {
		// On another machine the ids are those of other programs here.
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.HasPrefix(string(name), "postgres") {
			all[pid] = onCPU
		}
	}
	return all, nil
}
