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
	case hasLoneSurrogate(data):
		return refuse(ArgsInvalidUTF8)
	}
	return nil
}

// hasEscapedNUL finds \u0000 in JSON text: PostgreSQL's jsonb refuses it, in some other process at some later time.
func hasEscapedNUL(data []byte) bool {
	for u, rest, ok := nextEscape(data); ok; u, rest, ok = nextEscape(rest) {
		if u == 0 {
			return true
		}
	}
	return false
}

// hasLoneSurrogate finds \ud800 to \udfff in JSON text that do not form pairs: half a character, which jsonb refuses
// and encoding/json replaces.
func hasLoneSurrogate(data []byte) bool {
	for u, rest, ok := nextEscape(data); ok; u, rest, ok = nextEscape(rest) {
		switch {
		case u < 0xd800 || u > 0xdfff:
		case u >= 0xdc00 || len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u':
			return true
		default:
			low, isHex := hex4(rest[2:6])
			if !isHex || low < 0xdc00 || low > 0xdfff {
				return true
			}
			rest = rest[6:]
		}
	}
	return false
}

// nextEscape finds the next \uXXXX in JSON text and returns its value and what follows it.
func nextEscape(data []byte) (u int, rest []byte, ok bool) {
	for {
		i := bytes.IndexByte(data, '\\')
		if i < 0 || i+1 == len(data) {
			return 0, nil, false
		}
		if data[i+1] == 'u' && len(data) >= i+6 {
			if u, isHex := hex4(data[i+2 : i+6]); isHex {
				return u, data[i+6:], true
			}
		}
		data = data[i+2:] // any other escape: both bytes, so that \\u0000 is a backslash and four digits
	}
}

func hex4(digits []byte) (n int, ok bool) {
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | int(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
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
