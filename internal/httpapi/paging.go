package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"conduit/internal/conduit"
)

// pageOf takes the parameters of a list together; absent ones are zero.
func pageOf(limit, offset int32, cursor string) (conduit.Page, error) {
	page := conduit.Page{Limit: int(limit), Offset: int(offset)}
	if cursor == "" {
		return page, nil
	}
	position, ok := readCursor(cursor)
	if !ok {
		return conduit.Page{}, conduit.Invalid("cursor", "is not valid")
	}
	page.After = &position
	return page, nil
}

// A cursor is a position as 16 bytes, milliseconds and id, in base64url: short, and nothing that clients would be tempted
// to take apart.

func writeCursor(position conduit.Position) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(position.CreatedAt.UnixMilli()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(position.ID))
	return base64.RawURLEncoding.EncodeToString(raw)
}

func readCursor(cursor string) (position conduit.Position, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 16 {
		return position, false
	}
	position.CreatedAt = time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).UTC()
	position.ID = int64(binary.BigEndian.Uint64(raw[8:]))
	// What we gave out lies in years of four digits; a database might refuse others.
	year := position.CreatedAt.Year()
	return position, position.ID > 0 && year >= 1970 && year <= 9999
}
