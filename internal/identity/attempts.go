package identity

import (
	"context"
	"time"
)

// AttemptStore keeps buckets.
type AttemptStore interface {
	// CountAttempt counts an attempt in all its buckets that have room, and returns how it found them. If a full bucket
	// holds the attempt, it is counted in none. However many come at the same time, no more get into a bucket than
	// there is room for.
	CountAttempt(ctx context.Context, count Count) ([]Counted, error)
	// SettleAttempt lowers levels and, unless known is nil, remembers that an account knows a network.
	SettleAttempt(ctx context.Context, lower []Lower, known *Known) error
	// SweepAttempts removes up to limit buckets that have drained by now, and up to limit networks that are no longer
	// known. It returns the larger of the two numbers.
	SweepAttempts(ctx context.Context, now time.Time, limit int) (int, error)
}

// Count is an attempt that is to be counted. Times are in milliseconds.
type Count struct {
	At   time.Time
	Name string // of what is counted, for those whom it holds
	// Both are hashes. If the account knows the network, the attempt is no stranger's. Account is empty for an attempt
	// at no account.
	Account, Network string
	Buckets          []Bucket
}

// Bucket is what an attempt is counted in. A level is the time in which it drains.
type Bucket struct {
	Key  string // a hash
	Kind BucketKind
	Cost time.Duration // what an attempt adds to the level
	Dear time.Duration // what a stranger's adds while the bucket of the account is full
	Room time.Duration // the highest level at which there is room for another

	target string // what the audit log names when it holds somebody; empty for the account
	after  afterSuccess
}

// BucketKind says whom a full bucket holds.
type BucketKind string

// The kinds of buckets.
const (
	HoldsAll       BucketKind = "all"
	HoldsStrangers BucketKind = "strangers"
	HoldsNobody    BucketKind = "nobody" // and makes attempts of strangers dear
)

// afterSuccess says what becomes of an attempt's part in a bucket.
type afterSuccess int

const (
	takenBack afterSuccess = iota
	emptied
	kept
)

// Counted is how an attempt found a bucket.
type Counted struct {
	Cost  time.Duration // what the attempt adds
	Level time.Duration
	Ahead time.Duration // for so long the level does not drain: another instance's clock is ahead
	Holds bool          // the attempt is one of those whom the bucket holds when full
	Added bool          // the attempt was counted
}

// Lower says by how much to lower the level of a bucket.
type Lower struct {
	Key string
	By  time.Duration
}

// Known says that an account knows a network, and how many of its newest it keeps.
type Known struct {
	Account, Network string
	Until            time.Time
	Keep             int
}
