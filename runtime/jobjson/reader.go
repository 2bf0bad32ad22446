package jobjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// DecodeError says where and why JSON does not fit its type. Its text holds nothing of a field tagged job:"secret".
type DecodeError struct {
	// Path leads to the place: ".lines[3].qty"; empty for the outermost value.
	Path string
	// Offset of the place in bytes.
	Offset int
	// Err says what was expected and what was found, or is what an UnmarshalJSON or UnmarshalText method returned.
	Err error
}

func (e *DecodeError) Error() string {
	s := e.Err.Error() + " (byte " + strconv.Itoa(e.Offset) + ")"
	if e.Path == "" {
		return s
	}
	return e.Path + ": " + s
}

// Unwrap returns what is wrong.
func (e *DecodeError) Unwrap() error { return e.Err }

// Decode reads data, one JSON value with nothing behind it, into v through read, a generated function. The rules are
// those of encoding/json, but for field names, which must match exactly:
//
//   - unknown fields are ignored, absent ones leave v as it is, and so does null but for pointers, slices and maps,
//     which it empties;
//   - of two equal keys both are read, the later into what the earlier left: scalars are replaced, structs and maps
//     merge, a slice keeps the length of the later one;
//   - text that is not UTF-8 becomes U+FFFD.
//
// The error is a [*DecodeError], and v may then be partly set.
func Decode[T any](data []byte, v *T, read func(*Reader, *T)) error {
	if !json.Valid(data) {
		return syntaxError(data)
	}
	r := Reader{data: data}
	r.frames = r.few[:0]
	read(&r, v)
	return r.err
}

func syntaxError(data []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	e := &DecodeError{Offset: len(data), Err: err}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		// encoding/json counts the bytes read, the bad one included.
		e.Offset = max(int(syntax.Offset)-1, 0)
		e.Err = fmt.Errorf("not JSON: %w", err)
	}
	return e
}

// Reader walks through one JSON value. It keeps the first error; from then on there is nothing more to read, so that
// generated code checks for no errors.
type Reader struct {
	data   []byte // valid JSON
	off    int
	err    error
	frames []frame // the objects and arrays that off is in
	few    [4]frame
}

// container is what a frame's values are parts of.
type container uint8

const (
	inStruct container = iota
	inMap
	inArray
)

// frame is an object or an array that is being read.
type frame struct {
	in     container
	begun  bool
	secret bool
	index  int
	key    []byte
}

// next returns the first byte of the next value.
func (r *Reader) next() byte {
	for r.off < len(r.data) {
		switch c := r.data[r.off]; c {
		case ' ', '\t', '\n', '\r':
			r.off++
		default:
			return c
		}
	}
	return 0
}

// Null reads a null and reports whether there was one.
func (r *Reader) Null() bool {
	if r.err != nil || r.next() != 'n' {
		return false
	}
	r.off += len("null")
	return true
}

// Object enters an object. It is false for null, which it reads, and for anything else, which is an error.
func (r *Reader) Object() bool { return r.enter('{', "an object", inStruct) }

// Map is Object for an object whose keys are a map's: paths show them in brackets.
func (r *Reader) Map() bool { return r.enter('{', "an object", inMap) }

// Array enters an array. It is false for null, which it reads, and for anything else, which is an error.
func (r *Reader) Array() bool { return r.enter('[', "an array", inArray) }

func (r *Reader) enter(open byte, what string, in container) bool {
	if r.err != nil || r.Null() {
		return false
	}
	if r.next() != open {
		r.mismatch(what)
		return false
	}
	r.off++
	r.frames = append(r.frames, frame{in: in, index: -1})
	return true
}

// More moves to the next field or element of the innermost object or array, or leaves it and returns false. The value
// must then be read or skipped.
func (r *Reader) More() bool {
	if r.err != nil {
		return false
	}
	f := &r.frames[len(r.frames)-1]
	switch r.next() {
	case '}', ']':
		r.off++
		r.frames = r.frames[:len(r.frames)-1]
		return false
	case ',':
		if f.begun {
			r.off++
		}
	}
	f.begun, f.secret = true, false
	f.index++
	if f.in != inArray {
		f.key = unquote(r.token())
		r.next()
		r.off++ // the colon
	}
	return true
}

// Key returns the current field's name. It is valid while the object is being read.
func (r *Reader) Key() []byte { return r.frames[len(r.frames)-1].key }

// Secret says that the current field's value must not show in errors.
func (r *Reader) Secret() { r.frames[len(r.frames)-1].secret = true }

// Skip passes over the next value.
func (r *Reader) Skip() {
	if r.err == nil {
		r.token()
	}
}

// token passes over the next value and returns its text.
func (r *Reader) token() []byte {
	r.next()
	start, depth := r.off, 0
	for r.off < len(r.data) {
		switch r.data[r.off] {
		case '"':
			r.skipString()
		case '{', '[':
			depth++
			r.off++
		case '}', ']':
			depth--
			r.off++
		case ',', ':', ' ', '\t', '\n', '\r':
			r.off++
		default:
			r.skipLiteral()
		}
		if depth == 0 {
			break
		}
	}
	return r.data[start:r.off]
}

func (r *Reader) skipString() {
	for r.off++; r.data[r.off] != '"'; r.off++ {
		if r.data[r.off] == '\\' {
			r.off++
		}
	}
	r.off++
}

// skipLiteral passes over a number, true, false or null.
func (r *Reader) skipLiteral() {
	n := bytes.IndexAny(r.data[r.off:], ",:]} \t\n\r")
	if n < 0 {
		n = len(r.data) - r.off
	}
	r.off += n
}

// fail keeps the first error, with the place that r is at.
func (r *Reader) fail(offset int, err error) {
	if r.err != nil {
		return
	}
	var path []byte
	for _, f := range r.frames {
		switch {
		case f.in == inArray:
			path = append(path, '[')
			path = strconv.AppendInt(path, int64(f.index), 10)
			path = append(path, ']')
		case f.in == inStruct && isName(f.key):
			path = append(path, '.')
			path = append(path, f.key...)
		default:
			path = append(path, '[')
			path = strconv.AppendQuote(path, string(f.key))
			path = append(path, ']')
		}
		if f.secret {
			if _, ours := err.(*mismatchError); !ours {
				err = errHidden
			}
			break
		}
	}
	r.err = &DecodeError{Path: string(path), Offset: offset, Err: err}
}

// isName reports whether a key can stand in a path as it is.
func isName(key []byte) bool {
	for _, c := range key {
		if c <= ' ' || c == '.' || c == '[' || c == ']' || c == '"' || c == 0x7f {
			return false
		}
	}
	return len(key) > 0
}

// mismatchError says what kind of value was expected and found, and nothing of the value.
type mismatchError struct{ want, found string }

func (e *mismatchError) Error() string { return "expected " + e.want + ", found " + e.found }

// mismatch fails at the next value.
func (r *Reader) mismatch(want string) {
	c := r.next()
	r.fail(r.off, &mismatchError{want, kindOf(c)})
}

// kindOf names the kind of value that begins with c.
func kindOf(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
