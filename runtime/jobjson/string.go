package jobjson

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// plain marks the ASCII bytes that stand for themselves in a JSON string.
var plain = func() (t [utf8.RuneSelf]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// AppendString appends v as a JSON string. Text that is not UTF-8 is ErrInvalidUTF8, a NUL byte is ErrNUL. The
// characters <, > and & are not escaped; U+2028 and U+2029 are.
func AppendString[T ~string | ~[]byte](dst []byte, v T) ([]byte, error) {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(v); {
		c := v[i]
		if c < utf8.RuneSelf {
			if plain[c] {
				i++
				continue
			}
			if c == 0 {
				return dst, ErrNUL
			}
			dst = append(dst, v[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		// A rune has at most utf8.UTFMax bytes; converting no more of v keeps the conversion off the heap.
		r, size := utf8.DecodeRuneInString(string(v[i:min(len(v), i+utf8.UTFMax)]))
		if r == utf8.RuneError && size == 1 {
			return dst, ErrInvalidUTF8
		}
		if r == '\u2028' || r == '\u2029' {
			dst = append(dst, v[start:i]...)
			dst = append(dst, `\u202`...)
			dst = append(dst, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	dst = append(dst, v[start:]...)
	return append(dst, '"'), nil
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
