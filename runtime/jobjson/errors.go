package jobjson

import (
	"errors"
	"strconv"
)

// What cannot be stored, for errors.Is.
var (
	// ErrNotANumber: NaN and the infinities have no JSON form.
	ErrNotANumber = errors.New("not a number")
	// ErrInvalidUTF8: a string that is not UTF-8, or that escapes half of a surrogate pair.
	ErrInvalidUTF8 = errors.New("invalid UTF-8")
	// ErrNUL: a NUL byte in a string, which PostgreSQL cannot store.
	ErrNUL = errors.New("NUL byte")
	// ErrDuplicateKey: two keys of a map have the same text.
	ErrDuplicateKey = errors.New("duplicate map key")
)

// errHidden stands for an error whose text may quote a secret.
var errHidden = errors.New("secret value refused")

// PathError says where in a value something is wrong.
type PathError struct {
	// Path leads from the outermost value to the place: ".lines[3].qty", `.labels["k"]`.
	Path string
	Err  error
}

func (e *PathError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *PathError) Unwrap() error { return e.Err }

// Key is a part of a path: the text of a map key.
type Key string

// At puts a place in front of err's path. Each part is a string as it is to be printed, ".lines", an int for an index,
// or a Key. At(nil, ...) is nil.
func At(err error, parts ...any) error {
	if err == nil {
		return nil
	}
	var path []byte
	for _, part := range parts {
		switch p := part.(type) {
		case string:
			path = append(path, p...)
		case int:
			path = append(path, '[')
			path = strconv.AppendInt(path, int64(p), 10)
			path = append(path, ']')
		case Key:
			path = append(path, '[')
			path = strconv.AppendQuote(path, string(p))
			path = append(path, ']')
		}
	}
	var inner *PathError
	if e, ok := err.(*PathError); ok {
		inner = e
		path = append(path, inner.Path...)
		err = inner.Err
	}
	return &PathError{Path: string(path), Err: err}
}

// AtSecret is At for a field tagged job:"secret": it keeps the place of the field and which of this package's errors
// err is, and drops everything else, because an error's text may quote the value and a map key is part of it.
func AtSecret(err error, field string) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{ErrNotANumber, ErrInvalidUTF8, ErrNUL, ErrDuplicateKey} {
		if errors.Is(err, known) {
			return &PathError{Path: field, Err: known}
		}
	}
	return &PathError{Path: field, Err: errHidden}
}
