package jobrt

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ID names a job. It is a UUID of version 7, made by the client before the job is sent, so that a send whose answer
// was lost can be repeated without running the job twice, and so that ids sort by time of creation.
type ID [16]byte

// NewID returns a fresh id. It is safe for concurrent use.
func NewID() ID { return ID(uuid.Must(uuid.NewV7())) }

// ParseID reads the usual 36-character form.
func ParseID(s string) (ID, error) {
	if len(s) != 36 {
		return ID{}, fmt.Errorf("job id %q: must be 36 characters like %s", clip(s), exampleID)
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("job id %q: must be hexadecimal like %s", s, exampleID)
	}
	return ID(u), nil
}

const exampleID = "0198c5d2-6b1e-7c3a-9f00-5d0a1b2c3d4e"

// clip keeps the head of a text that somebody passed off as an id.
func clip(s string) string {
	if len(s) <= 2*36 {
		return s
	}
	return s[:2*36] + "..."
}

// String returns the usual 36-character form.
func (id ID) String() string { return uuid.UUID(id).String() }

// IsZero reports whether id is the zero ID, which names no job.
func (id ID) IsZero() bool { return id == ID{} }

// Time returns the instant that an id of version 7 carries, to the millisecond; the zero time for other versions.
func (id ID) Time() time.Time {
	if id[6]>>4 != 7 {
		return time.Time{}
	}
	ms := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
	return time.UnixMilli(ms)
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Value implements driver.Valuer: the text form, which both PostgreSQL and SQLite take.
func (id ID) Value() (driver.Value, error) { return id.String(), nil }

// Scan implements sql.Scanner for the text form and for 16 raw bytes.
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case string:
		return id.UnmarshalText([]byte(v))
	case []byte:
		if len(v) == len(id) {
			copy(id[:], v)
			return nil
		}
		return id.UnmarshalText(v)
	case [16]byte:
		*id = v
		return nil
	default:
		return fmt.Errorf("job id: cannot scan %T", src)
	}
}
