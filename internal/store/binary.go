package store

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// postgresRows is what PostgreSQL found. It reads the values of hot statements by itself, in the form in which they
// come. pgx can read all forms, but finds out anew for each query how, by reflection.
type postgresRows struct{ pgx.Rows }

// Scan implements [found]. It leaves a row to pgx if one of its values comes in another form.
func (r postgresRows) Scan(into ...any) error {
	values, fields := r.RawValues(), r.FieldDescriptions()
	if len(into) != len(values) || !readRow(fields, values, into) {
		return r.Rows.Scan(into...)
	}
	return nil
}

// readRow reads values into what the pointers point to, and returns whether it could read all of them. All texts of a
// row take one piece of memory.
func readRow(fields []pgconn.FieldDescription, values [][]byte, into []any) bool {
	size := 0
	for i := range values {
		if fields[i].DataTypeOID == pgtype.TextOID && into[i] != nil {
			size += len(values[i])
		}
	}
	var texts strings.Builder
	texts.Grow(size)
	for i, target := range into {
		if target != nil && !readValue(target, &fields[i], values[i], &texts) {
			return false
		}
	}
	return true
}

func readValue(target any, field *pgconn.FieldDescription, value []byte, texts *strings.Builder) bool {
	binaryForm := field.Format == pgx.BinaryFormatCode
	switch target := target.(type) {
	case *string:
		if field.DataTypeOID != pgtype.TextOID || value == nil {
			return false
		}
		*target = keep(value, texts)
	case **string:
		if field.DataTypeOID != pgtype.TextOID {
			return false
		}
		*target = nil
		if value != nil {
			text := keep(value, texts)
			*target = &text
		}
	case *int64:
		if field.DataTypeOID != pgtype.Int8OID || !binaryForm || len(value) != 8 {
			return false
		}
		*target = int64(binary.BigEndian.Uint64(value)) //nolint:gosec // 64 bits remain 64 bits
	case *bool:
		if field.DataTypeOID != pgtype.BoolOID || !binaryForm || len(value) != 1 {
			return false
		}
		*target = value[0] != 0
	case *instant:
		if field.DataTypeOID != pgtype.TimestamptzOID || !binaryForm || len(value) != 8 {
			return false
		}
		micros := int64(binary.BigEndian.Uint64(value)) //nolint:gosec // 64 bits remain 64 bits
		if micros == math.MinInt64 || micros == math.MaxInt64 {
			return false // infinity
		}
		*target = instant(time.Unix(epoch+micros/1e6, micros%1e6*1e3).UTC())
	case *textList:
		if binaryForm || value == nil {
			return false
		}
		return target.ScanBytes(value) == nil
	default:
		return false
	}
	return true
}

// epoch is when PostgreSQL begins to count, in Unix time.
const epoch = 946_684_800

// keep appends a text to others, in memory that is there already, and returns it.
func keep(text []byte, texts *strings.Builder) string {
	start := texts.Len()
	texts.Write(text)
	return texts.String()[start:]
}
