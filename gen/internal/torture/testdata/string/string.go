// Package string is called like a predeclared type.
package string

import "strconv"

// Stringer is text on the wire.
type Stringer struct {
	N int
}

// MarshalText implements encoding.TextMarshaler.
func (s Stringer) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(s.N), 10), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Stringer) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err == nil {
		s.N = n
	}
	return err
}
