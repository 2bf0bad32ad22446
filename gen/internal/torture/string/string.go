// Package string is called like a predeclared type.
package string

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Stringer is text on the wire.
type Stringer struct {
	N int
}

// MarshalText implements encoding.TextMarshaler.
func (s Stringer) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(s.N), 10), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Stringer) UnmarshalText(text []byte) error {
	_, err := fmt.Sscan(strings.TrimSpace(bytes.NewBuffer(text).String()), &s.N)
	return err
}
