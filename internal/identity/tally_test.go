package identity

import (
	"fmt"
	"testing"
	"time"
)

// TestTallyIsBounded: a botnet, or somebody with an IPv6 /32, takes no more memory than there is for them, and each of
// their refusals is counted all the same.
func TestTallyIsBounded(t *testing.T) {
	t.Parallel()
	var tally tally
	now := time.Date(2026, 2, 18, 3, 22, 56, 0, time.UTC)
	counted, rows := int64(0), 0
	const many = 3 * tallyMax
	for i := range many {
		ipAddress := fmt.Sprintf("2001:%x:%x::1", i>>16, i&0xffff)
		e, about, count := tally.count(sighting{action: LoginThrottled, client: Client{IPAddress: ipAddress},
			key: ipAddress}, now)
		if count > 0 {
			counted, rows = counted+count, rows+1
			event := Client{}.event(now, 0, LoginThrottled, about)
			tally.wrote(e, event)
		}
	}
	if len(tally.open) > tallyMax+1 || len(tally.spent) > tallyMax || rows > tallyMax+1 {
		t.Errorf("%d entries, %d networks, %d rows", len(tally.open), len(tally.spent), rows)
	}
	now = now.Add(time.Minute)
	for _, count := range tally.due(now, false) {
		counted += count
	}
	if counted != many {
		t.Errorf("%d are counted of %d", counted, many)
	}
	now = now.Add(time.Hour)
	if due := tally.due(now, false); len(due) != 0 || len(tally.open) != 0 || len(tally.spent) != 0 {
		t.Errorf("an hour later there are %d to write, %d entries, %d networks", len(due), len(tally.open),
			len(tally.spent))
	}
}
