// Package kinds has a type for every way of storing a value.
package kinds

import (
	"fmt"
	"time"
)

// Named forms of basic types.
type (
	Flag   bool
	Cents  int64
	Small  uint8
	Ratio  float64
	Single float32
	Label  string
	Digest []byte
	Span   time.Duration
)

// Scalars has a field of every basic kind, without options.
type Scalars struct {
	Bool     bool          `json:"bool"`
	Int      int           `json:"int"`
	Int8     int8          `json:"int8"`
	Int16    int16         `json:"int16"`
	Int32    int32         `json:"int32"`
	Int64    int64         `json:"int64"`
	Uint     uint          `json:"uint"`
	Uint8    uint8         `json:"uint8"`
	Uint16   uint16        `json:"uint16"`
	Uint32   uint32        `json:"uint32"`
	Uint64   uint64        `json:"uint64"`
	Float32  float32       `json:"float32"`
	Float64  float64       `json:"float64"`
	String   string        `json:"string"`
	Bytes    []byte        `json:"bytes"`
	Time     time.Time     `json:"time"`
	Duration time.Duration `json:"duration"`
	Untagged string
}

// Named has fields of named basic types.
type Named struct {
	Flag   Flag
	Cents  Cents
	Small  Small
	Ratio  Ratio
	Single Single
	Label  Label
	Digest Digest
	Octets []Small
	Flags  [2]Flag
	Span   Span
	ByKey  map[Point]Cents
}

// Point is a struct that is text, in map keys too.
type Point struct{ X, Y int }

// MarshalText implements encoding.TextMarshaler.
func (p Point) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/%d", p.X, p.Y), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Point) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(string(text), "%d/%d", &p.X, &p.Y)
	return err
}
