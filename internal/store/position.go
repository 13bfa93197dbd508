package store

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// position is a point in PostgreSQL's write-ahead log. Whoever has replayed the log up to there shows all that was
// committed before.
type position struct {
	lineage
	lsn uint64
}

// lineage names a history of the log. Points of two histories cannot be compared: after a failover the new primary goes
// on from where it was, which may be before what the former one wrote last.
type lineage struct {
	system   uint64 // the identifier that initdb draws
	timeline uint32 // counts failovers
}

// String returns the lineage as it stands in the table of leases.
func (l lineage) String() string { return fmt.Sprintf("%016x-%08x", l.system, l.timeline) }

// String returns the position as clients get it. Later positions of a database come later as text too.
func (p position) String() string { return fmt.Sprintf("%v-%016x", p.lineage, p.lsn) }

// parsePosition reads what String returns, and reports whether the text is that.
func parsePosition(text string) (position, bool) {
	var numbers [3]uint64
	parts := strings.Split(text, "-")
	if len(parts) != len(numbers) {
		return position{}, false
	}
	for i, part := range parts {
		number, err := strconv.ParseUint(part, 16, 64)
		if err != nil {
			return position{}, false
		}
		numbers[i] = number
	}
	p := position{lineage{numbers[0], uint32(numbers[1])}, numbers[2]} //nolint:gosec // the text is compared below
	return p, p.String() == text
}

// latest returns the latest of the positions in the values of a header, each of which may be a list. It reports whether
// there is one: values that are none, or of several lineages, have none.
func latest(values []string) (found position, ok bool) {
	for text := range strings.SplitSeq(strings.Join(values, ","), ",") {
		p, valid := parsePosition(strings.TrimSpace(text))
		if !valid || ok && p.lineage != found.lineage {
			return position{}, false
		}
		if cmp.Compare(p.lsn, found.lsn) >= 0 {
			found, ok = p, true
		}
	}
	return found, ok
}
