package jobrt

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/jobgen/jobgen/runtime/jobjson"
)

// checkArgs refuses what a database would refuse later, or hand back changed.
func checkArgs(kind string, index int, data []byte, limit int) error {
	refuse := func(reason ArgsReason) error {
		return &ArgsError{Kind: kind, Reason: reason, Index: index, Size: len(data), Limit: limit}
	}
	switch {
	case len(data) > limit:
		return refuse(ArgsTooLarge)
	case !utf8.Valid(data):
		return refuse(ArgsInvalidUTF8)
	case bytes.IndexByte(data, 0) >= 0 || hasEscapedNUL(data):
		return refuse(ArgsNUL)
	}
	return nil
}

// hasEscapedNUL finds \u0000 in JSON text: PostgreSQL's jsonb refuses it, in some other process at some later time.
func hasEscapedNUL(data []byte) bool {
	for rest := data; ; {
		i := bytes.Index(rest, []byte(`\u0000`))
		if i < 0 {
			return false
		}
		backslashes := 0
		for j := i - 1; j >= 0 && rest[j] == '\\'; j-- {
			backslashes++
		}
		if backslashes%2 == 0 {
			return true
		}
		rest = rest[i+1:]
	}
}

// argsReason reads a codec's error.
func argsReason(err error) ArgsReason {
	switch {
	case errors.Is(err, jobjson.ErrNotANumber):
		return ArgsNotANumber
	case errors.Is(err, jobjson.ErrInvalidUTF8):
		return ArgsInvalidUTF8
	case errors.Is(err, jobjson.ErrNUL):
		return ArgsNUL
	default:
		return ArgsUnencodable
	}
}
