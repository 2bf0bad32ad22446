package jobjson

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote returns what a well-formed JSON string says: a part of it where nothing is escaped, and a copy otherwise. Bytes
// that are not UTF-8 and unpaired surrogates become U+FFFD.
func unquote(quoted []byte) []byte {
	s := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(s, '\\') < 0 && utf8.Valid(s) {
		return s
	}
	out := make([]byte, 0, len(s)+utf8.UTFMax)
	for len(s) > 0 {
		if s[0] != '\\' {
			c, size := utf8.DecodeRune(s)
			out = utf8.AppendRune(out, c)
			s = s[size:]
			continue
		}
		if s[1] != 'u' {
			out = append(out, unescape(s[1]))
			s = s[2:]
			continue
		}
		c := unhex(s[2:6])
		s = s[6:]
		if utf16.IsSurrogate(c) {
			low := rune(utf8.RuneError)
			if len(s) >= 6 && s[0] == '\\' && s[1] == 'u' {
				low = unhex(s[2:6])
			}
			if c = utf16.DecodeRune(c, low); c != utf8.RuneError {
				s = s[6:]
			}
		}
		out = utf8.AppendRune(out, c)
	}
	return out
}

// unescape returns what the letter behind a backslash stands for.
func unescape(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return c
	}
}
