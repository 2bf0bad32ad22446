package jobjson

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// scalar returns the text of the next value when it begins with one of first. Null is read and is no value; anything
// else is an error.
func (r *Reader) scalar(want string, first func(byte) bool) (text []byte, offset int, ok bool) {
	if r.err != nil || r.Null() {
		return nil, 0, false
	}
	if !first(r.next()) {
		r.mismatch(want)
		return nil, 0, false
	}
	offset = r.off
	return r.token(), offset, true
}

func isBool(c byte) bool   { return c == 't' || c == 'f' }
func isString(c byte) bool { return c == '"' }
func isNumber(c byte) bool { return c == '-' || '0' <= c && c <= '9' }

// ReadBool reads true or false.
func ReadBool[T ~bool](r *Reader, v *T) {
	if text, _, ok := r.scalar("a boolean", isBool); ok {
		*v = text[0] == 't'
	}
}

// ReadInt reads an integer that fits *v. A number with a fraction or an exponent is no integer, whatever its value.
func ReadInt[T signed](r *Reader, v *T) {
	if text, offset, ok := r.scalar("an integer", isNumber); ok {
		n, err := parseInt[T](text)
		if err != nil {
			r.fail(offset, err)
			return
		}
		*v = n
	}
}

// ReadUint is ReadInt for unsigned integers.
func ReadUint[T unsigned](r *Reader, v *T) {
	if text, offset, ok := r.scalar("an integer", isNumber); ok {
		n, err := parseUint[T](text)
		if err != nil {
			r.fail(offset, err)
			return
		}
		*v = n
	}
}

func parseInt[T signed](s []byte) (T, error) {
	size := reflect.TypeFor[T]().Bits()
	n, err := strconv.ParseInt(string(s), 10, size)
	if err != nil {
		return 0, numberError(string(s), err, "an integer", fmt.Sprintf("a signed integer of %d bits", size))
	}
	return T(n), nil
}

func parseUint[T unsigned](s []byte) (T, error) {
	size := reflect.TypeFor[T]().Bits()
	n, err := strconv.ParseUint(string(s), 10, size)
	if err != nil {
		return 0, numberError(string(s), err, "an unsigned integer", fmt.Sprintf("an unsigned integer of %d bits", size))
	}
	return T(n), nil
}

// numberError says why s is not a number of the wanted kind.
func numberError(s string, err error, want, sized string) error {
	if len(s) > 40 {
		s = s[:40] + "..."
	}
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%s is out of range of %s", s, sized)
	}
	return fmt.Errorf("expected %s, found %s", want, s)
}

// ReadFloat64 reads a number.
func ReadFloat64[T ~float64](r *Reader, v *T) {
	if f, ok := r.float(64); ok {
		*v = T(f)
	}
}

// ReadFloat32 reads a number that is not too large for a float32.
func ReadFloat32[T ~float32](r *Reader, v *T) {
	if f, ok := r.float(32); ok {
		*v = T(f)
	}
}

func (r *Reader) float(size int) (float64, bool) {
	text, offset, ok := r.scalar("a number", isNumber)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(text), size)
	if err != nil {
		r.fail(offset, numberError(string(text), err, "a number", fmt.Sprintf("a floating-point number of %d bits", size)))
		return 0, false
	}
	return f, true
}

// ReadString reads a string.
func ReadString[T ~string](r *Reader, v *T) {
	if text, _, ok := r.scalar("a string", isString); ok {
		*v = T(unquote(text))
	}
}

// ReadBytes reads standard base64 with padding, or an array of numbers; null makes the slice nil.
func ReadBytes[S ~[]B, B ~uint8](r *Reader, v *S) {
	if r.Null() {
		*v = nil
		return
	}
	if r.err == nil && r.next() == '[' {
		r.Array()
		i := 0
		for ; r.More(); i++ {
			ReadUint(r, Element(v, i))
		}
		Truncate(v, i)
		return
	}
	text, offset, ok := r.scalar("a string of base64", isString)
	if !ok {
		return
	}
	data, err := base64.StdEncoding.AppendDecode(nil, unquote(text))
	if err != nil {
		r.fail(offset, fmt.Errorf("expected base64: %w", err))
		return
	}
	out := make(S, len(data))
	for i, c := range data {
		out[i] = B(c)
	}
	*v = out
}

// ReadRaw copies the next value's text.
func ReadRaw[T ~[]byte](r *Reader, v *T) {
	if r.err == nil {
		*v = append((*v)[:0], r.token()...)
	}
}

// ReadUnmarshaler hands the next value's text, null too, to v's UnmarshalJSON.
func ReadUnmarshaler(r *Reader, v json.Unmarshaler) {
	if r.err != nil {
		return
	}
	r.next()
	offset := r.off
	if err := v.UnmarshalJSON(r.token()); err != nil {
		r.fail(offset, err)
	}
}

// ReadText hands a string to v's UnmarshalText; null leaves v as it is.
func ReadText(r *Reader, v encoding.TextUnmarshaler) {
	if text, offset, ok := r.scalar("a string", isString); ok {
		if err := v.UnmarshalText(unquote(text)); err != nil {
			r.fail(offset, err)
		}
	}
}

// TextKey hands the current key to k's UnmarshalText.
func (r *Reader) TextKey(k encoding.TextUnmarshaler) {
	if err := k.UnmarshalText(r.Key()); err != nil {
		r.fail(r.off, fmt.Errorf("map key: %w", err))
	}
}

// IntKey returns the current key as an integer.
func IntKey[K signed](r *Reader) K {
	k, err := parseInt[K](r.Key())
	if err != nil {
		r.fail(r.off, fmt.Errorf("map key: %w", err))
	}
	return k
}

// UintKey is IntKey for unsigned integers.
func UintKey[K unsigned](r *Reader) K {
	k, err := parseUint[K](r.Key())
	if err != nil {
		r.fail(r.off, fmt.Errorf("map key: %w", err))
	}
	return k
}

// Element returns the i-th element of *s, which has i elements at least, making room for it where needed. What an
// earlier reading left there stays, as with encoding/json.
func Element[S ~[]E, E any](s *S, i int) *E {
	switch {
	case i < len(*s):
	case i < cap(*s):
		*s = (*s)[:i+1]
	default:
		var zero E
		*s = append(*s, zero)
	}
	return &(*s)[i]
}

// Truncate ends a slice after n elements; none is an empty slice that is not nil.
func Truncate[S ~[]E, E any](s *S, n int) {
	if n == 0 {
		*s = S{}
		return
	}
	*s = (*s)[:n]
}
