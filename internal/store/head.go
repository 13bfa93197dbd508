package store

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"sync"
	"time"
)

// head is the end of the primary's log, as it was asked for.
type head struct {
	pool    *sql.DB // one connection, so that the question does not queue behind others
	timeout time.Duration
	keep    time.Duration

	asking sync.Mutex // one asks at a time
	began  time.Time  // the last asking did
	failed error      // what came of it

	mutex   sync.Mutex
	samples []sample // of one lineage, the oldest first
}

type sample struct {
	at time.Time // when the asking began
	position
}

// headSQL fails on a standby, which has no end of its own. Under asynchronous commits what was answered may not have
// been flushed.
const headSQL = `
select (select system_identifier from pg_control_system()), left(pg_walfile_name(pg_current_wal_lsn()), 8),
       (case current_setting('synchronous_commit') when 'off' then pg_current_wal_insert_lsn()
        else pg_current_wal_flush_lsn() end - '0/0')::bigint`

// since returns the earliest known end of the log that was asked for at or after a moment. If there is none it asks;
// an asking that began since serves all who wait for one.
func (h *head) since(ctx context.Context, moment time.Time) (position, error) {
	if known, ok := h.known(moment); ok {
		return known, nil
	}
	h.asking.Lock()
	defer h.asking.Unlock()
	if known, ok := h.known(moment); ok {
		return known, nil
	}
	if h.failed != nil && !h.began.Before(moment) {
		return position{}, h.failed
	}
	// The answer is for others too, so it does not end with the context of the one who asked.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.timeout)
	defer cancel()
	h.began = time.Now()
	var now position
	now, h.failed = h.ask(ctx)
	if h.failed == nil {
		h.note(sample{h.began, now})
	}
	return now, h.failed
}

func (h *head) ask(ctx context.Context) (now position, err error) {
	var system, lsn int64
	var timeline string
	if err := h.pool.QueryRowContext(ctx, headSQL, hot).Scan(&system, &timeline, &lsn); err != nil {
		return now, err
	}
	number, err := strconv.ParseUint(timeline, 16, 32)
	return position{lineage{uint64(system), uint32(number)}, uint64(lsn)}, err //nolint:gosec // 64 bits remain 64 bits
}

func (h *head) known(moment time.Time) (position, bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for _, s := range h.samples {
		if !s.at.Before(moment) {
			return s.position, true
		}
	}
	return position{}, false
}

// note keeps a sample. Of samples close to each other it keeps the last, and of the old ones those that may be needed.
func (h *head) note(next sample) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if n := len(h.samples); n > 0 && h.samples[n-1].lineage != next.lineage {
		h.samples = nil
	}
	if n := len(h.samples); n > 1 && next.at.Sub(h.samples[n-2].at) < h.keep/32 {
		h.samples = h.samples[:n-1]
	}
	h.samples = append(h.samples, next)
	old := func(s sample) bool { return next.at.Sub(s.at) > 2*h.keep }
	if first := slices.IndexFunc(h.samples, func(s sample) bool { return !old(s) }); first > 1 {
		h.samples = slices.Delete(h.samples, 0, first-1)
	}
}

// reached returns when the log ended where a replica is now, as far as that is known, and whether it has gone on since.
func (h *head) reached(lsn uint64) (at time.Time, behind bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for i, s := range slices.Backward(h.samples) {
		if s.lsn <= lsn {
			return s.at, i < len(h.samples)-1
		}
	}
	return time.Time{}, true
}
