// Package jobjson holds what generated codecs call to write JSON.
package jobjson

import "errors"

// What cannot be stored, for errors.Is.
var (
	// ErrNotANumber: NaN and the infinities have no JSON form.
	ErrNotANumber = errors.New("not a number")
	// ErrInvalidUTF8: a string that is not UTF-8.
	ErrInvalidUTF8 = errors.New("invalid UTF-8")
	// ErrNUL: a NUL byte in a string, which PostgreSQL cannot store.
	ErrNUL = errors.New("NUL byte")
)
