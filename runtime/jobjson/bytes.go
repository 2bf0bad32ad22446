package jobjson

import "time"

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// AppendBytes appends v as a string in standard base64 with padding, and null when v is nil. Unlike
// encoding/base64 it takes slices of named byte types as they are.
func AppendBytes[S ~[]B, B ~uint8](dst []byte, v S) []byte {
	if v == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	for ; len(v) >= 3; v = v[3:] {
		n := uint(v[0])<<16 | uint(v[1])<<8 | uint(v[2])
		dst = append(dst, base64Digits[n>>18&63], base64Digits[n>>12&63], base64Digits[n>>6&63], base64Digits[n&63])
	}
	switch len(v) {
	case 1:
		n := uint(v[0]) << 16
		dst = append(dst, base64Digits[n>>18&63], base64Digits[n>>12&63], '=', '=')
	case 2:
		n := uint(v[0])<<16 | uint(v[1])<<8
		dst = append(dst, base64Digits[n>>18&63], base64Digits[n>>12&63], base64Digits[n>>6&63], '=')
	}
	return append(dst, '"')
}

// AppendTime appends v in RFC 3339 with nanoseconds. A year outside of 0 to 9999, or a zone offset of 24 hours and
// more, has no such form and is an error.
func AppendTime(dst []byte, v time.Time) ([]byte, error) {
	n := len(dst)
	out, err := v.AppendText(append(dst, '"'))
	if err != nil {
		return dst[:n], err
	}
	return append(out, '"'), nil
}
