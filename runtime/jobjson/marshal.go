package jobjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// AppendRaw appends JSON that the application made itself, checked and without white space; nil is null.
func AppendRaw[T ~[]byte](dst []byte, v T) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	return appendCompact(dst, v)
}

// AppendMarshaler appends what v's MarshalJSON returns, checked and without white space. A nil interface is null.
func AppendMarshaler(dst []byte, v json.Marshaler) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	data, err := v.MarshalJSON()
	if err != nil {
		return dst, fmt.Errorf("%T: %w", v, err)
	}
	dst, err = appendCompact(dst, data)
	if err != nil {
		return dst, fmt.Errorf("%T: MarshalJSON: %w", v, err)
	}
	return dst, nil
}

// AppendText appends what v's MarshalText returns, as a string. A nil interface is null.
func AppendText(dst []byte, v encoding.TextMarshaler) ([]byte, error) {
	if v == nil {
		return append(dst, "null"...), nil
	}
	text, err := v.MarshalText()
	if err != nil {
		return dst, fmt.Errorf("%T: %w", v, err)
	}
	return AppendString(dst, text)
}

// appendCompact appends one JSON value and refuses strings that can't be stored.
func appendCompact(dst, data []byte) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	if err := json.Compact(buf, data); err != nil {
		return dst, err
	}
	out := buf.Bytes()
	if err := checkStrings(out[len(dst):]); err != nil {
		return dst, err
	}
	return out, nil
}

// checkStrings looks through well-formed JSON for what [AppendString] refuses.
func checkStrings(data []byte) error {
	if !utf8.Valid(data) {
		return ErrInvalidUTF8
	}
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++ // Outside of strings there are no backslashes, so this is an escape.
		if data[i] != 'u' {
			continue
		}
		r := unhex(data[i+1 : i+5])
		i += 4
		switch {
		case r == 0:
			return ErrNUL
		case 0xd800 <= r && r < 0xdc00:
			if i+6 >= len(data) || data[i+1] != '\\' || data[i+2] != 'u' {
				return ErrInvalidUTF8
			}
			if low := unhex(data[i+3 : i+7]); low < 0xdc00 || low > 0xdfff {
				return ErrInvalidUTF8
			}
			i += 6
		case 0xdc00 <= r && r <= 0xdfff:
			return ErrInvalidUTF8
		}
	}
	return nil
}

// unhex reads four hexadecimal digits that a JSON scanner has accepted.
func unhex(digits []byte) rune {
	var r rune
	for _, c := range digits {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
