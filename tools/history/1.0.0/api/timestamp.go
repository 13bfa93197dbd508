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
	return t.AppendTo(make([]byte, 0, len(timestampLayout))), nil
}

// AppendTo appends the moment to a text. [time.Time.AppendFormat] would read the layout again each time.
func (t Timestamp) AppendTo(out []byte) []byte {
	moment := time.Time(t).UTC()
	year, month, day := moment.Date()
	if year < 0 || year > 9999 {
		return moment.AppendFormat(out, timestampLayout)
	}
	hour, minute, second := moment.Clock()
	out = append(digits(out, year, 1000), '-')
	out = append(digits(out, int(month), 10), '-')
	out = append(digits(out, day, 10), 'T')
	out = append(digits(out, hour, 10), ':')
	out = append(digits(out, minute, 10), ':')
	out = append(digits(out, second, 10), '.')
	return append(digits(out, moment.Nanosecond()/int(time.Millisecond), 100), 'Z')
}

// digits appends a number, from the digit that counts so much on.
func digits(out []byte, number, most int) []byte {
	for ; most > 0; most /= 10 {
		out = append(out, byte('0'+number/most%10))
	}
	return out
}

// UnmarshalText implements [encoding.TextUnmarshaler]; it takes any moment of RFC 3339.
func (t *Timestamp) UnmarshalText(text []byte) error {
	moment, err := time.Parse(time.RFC3339Nano, string(text))
	*t = Timestamp(moment)
	return err
}
