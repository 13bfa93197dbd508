package store

import (
	"reflect"
	"testing"
	"time"
	"unsafe"
)

// TestLeaseWhileAsleep: the monotonic clock stands still while a machine sleeps. Then the wall clock says that the
// lease has run out, and so it does when that clock was set back.
func TestLeaseWhileAsleep(t *testing.T) {
	t.Parallel()
	read := time.Now()
	l := &lease{trust: MostLease}
	l.good.Store(&read)
	for name, test := range map[string]struct {
		slept time.Duration
		want  bool
	}{
		"awake": {0, true}, "for a moment": {MostLease / 2, true}, "as long as the lease": {MostLease, false},
		"for hours": {5 * time.Hour, false}, "set back": {-time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := wallMoved(t, read, test.slept)
			if got := l.fresh(now); got != test.want {
				t.Errorf("trusted: %t, want %t", got, test.want)
			}
		})
	}
}

// wallMoved returns a moment at which only the wall clock has moved. No function makes one, and no test can put its
// machine to sleep, so the monotonic reading is put back by hand.
func wallMoved(t *testing.T, from time.Time, by time.Duration) time.Time {
	t.Helper()
	moment := from.Add(by)
	reading := reflect.ValueOf(&moment).Elem().FieldByName("ext")
	(*(*int64)(unsafe.Pointer(reading.UnsafeAddr()))) -= int64(by) //nolint:gosec // this is what is to be shown
	if moment.Sub(from) != 0 || moment.Round(0).Sub(from.Round(0)) != by {
		t.Fatal("time.Time keeps its clocks in another way now")
	}
	return moment
}
