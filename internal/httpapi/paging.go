package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/errs"
)

// pageOf returns the parameters of a list as a page; absent ones are zero.
func pageOf(limit *api.Limit, offset *api.Offset, cursor *api.Cursor) (blog.Page, error) {
	page := blog.Page{Limit: int(orZero(limit)), Offset: int(orZero(offset))}
	if cursor == nil {
		return page, nil
	}
	position, ok := readCursor(*cursor)
	if !ok {
		return blog.Page{}, errs.Invalid("cursor", "is not valid")
	}
	page.After = &position
	return page, nil
}

// commentFilter returns the parameters of a list of comments as a filter.
func commentFilter(limit *int32, cursor *string) (blog.CommentFilter, error) {
	filter := blog.CommentFilter{Limit: int(orZero(limit))}
	if cursor == nil {
		return filter, nil
	}
	id, ok := readCommentCursor(*cursor)
	if !ok {
		return blog.CommentFilter{}, errs.Invalid("cursor", "is not valid")
	}
	filter.After = id
	return filter, nil
}

// orZero returns the value of a parameter, or zero if it is absent.
func orZero[T any](parameter *T) T {
	if parameter == nil {
		return *new(T)
	}
	return *parameter
}

// A cursor is a position as 16 bytes, milliseconds and id, in base64url: short, and nothing that clients would be
// tempted to take apart. That of comments is an id alone.

func writeCursor(position blog.Position) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(position.CreatedAt.UnixMilli()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(position.ID))
	return base64.RawURLEncoding.EncodeToString(raw)
}

func readCursor(cursor string) (position blog.Position, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 16 {
		return position, false
	}
	position.CreatedAt = time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).UTC()
	position.ID = int64(binary.BigEndian.Uint64(raw[8:]))
	// Every cursor that we issued has a year of four digits. A database might refuse others.
	year := position.CreatedAt.Year()
	return position, position.ID > 0 && year >= 1970 && year <= 9999
}

func writeCommentCursor(id int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(id)))
}

func readCommentCursor(cursor string) (id int64, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 8 {
		return 0, false
	}
	id = int64(binary.BigEndian.Uint64(raw))
	return id, id > 0
}
