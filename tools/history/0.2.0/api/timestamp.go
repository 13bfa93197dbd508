// Package api is what openapi.yaml says, in Go: types, the strict server interface, and a client. All but this file is
// generated. It knows nothing of the rooms that use it.
package api

import "time"

// Timestamp is a moment as the contract shows it: RFC 3339 in UTC, always with three digits of milliseconds
// ("2026-02-18T03:22:56.637Z"). time.Time would print as many digits as the moment has.
type Timestamp time.Time

const timestampLayout = "2006-01-02T15:04:05.000Z"

// MarshalText implements [encoding.TextMarshaler], and so the way to JSON.
func (t Timestamp) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().AppendFormat(make([]byte, 0, len(timestampLayout)), timestampLayout), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes any moment of RFC 3339.
func (t *Timestamp) UnmarshalText(text []byte) error {
	moment, err := time.Parse(time.RFC3339Nano, string(text))
	*t = Timestamp(moment)
	return err
}
