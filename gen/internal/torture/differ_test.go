package torture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
	"github.com/jobgen/jobgen/runtime/jobjson"
)

// differ holds a generated codec against encoding/json on one document: both must accept or refuse it, read the same
// value out of it, and write the same bytes for that value, unless the codec names what it never writes.
func differ[T any](t *testing.T, codec jobrt.Codec[T], data []byte) {
	t.Helper()
	if foldsAName(reflect.TypeFor[T](), data) {
		return // encoding/json matches names of another case, a codec does not
	}
	var got, want T
	gotErr, wantErr := codec.Decode(data, &got), json.Unmarshal(data, &want)
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("decode %s: codec %v, encoding/json %v", data, gotErr, wantErr)
	}
	if gotErr != nil {
		var de *jobjson.DecodeError
		if !errors.As(gotErr, &de) || de.Offset < 0 || de.Offset > len(data) {
			t.Fatalf("decode %s: %#v", data, gotErr)
		}
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("decode %s:\ncodec         %+v\nencoding/json %+v", data, got, want)
	}
	out := differAppend(t, codec, &got)
	if out == nil {
		return
	}
	var again, wantAgain T
	if err := codec.Decode(out, &again); err != nil {
		t.Fatalf("decode what the codec wrote, %s: %v", out, err)
	}
	if err := json.Unmarshal(out, &wantAgain); err != nil || !reflect.DeepEqual(again, wantAgain) {
		t.Fatalf("decode what the codec wrote, %s (%v):\ncodec         %+v\nencoding/json %+v", out, err, again, wantAgain)
	}
}

// differAppend compares what is written for v, twice, and returns it; nil when v was refused with reason.
func differAppend[T any](t *testing.T, codec jobrt.Codec[T], v *T) []byte {
	t.Helper()
	prefix := []byte("prefix")
	out, err := codec.Append(prefix, v)
	want, wantErr := encodingJSON(v)
	if err != nil {
		if wantErr == nil && !errors.Is(err, jobjson.ErrNUL) && !errors.Is(err, jobjson.ErrInvalidUTF8) && !errors.Is(err, jobjson.ErrDuplicateKey) {
			t.Fatalf("append %+v: codec %v, encoding/json %s", v, err, want)
		}
		return nil
	}
	if wantErr != nil {
		t.Fatalf("append %+v: codec %s, encoding/json %v", v, out, wantErr)
	}
	if !bytes.HasPrefix(out, prefix) {
		t.Fatalf("append %+v: %s does not begin with dst", v, out)
	}
	out = out[len(prefix):]
	if !bytes.Equal(out, want) {
		t.Fatalf("append %+v:\ncodec         %s\nencoding/json %s", v, out, want)
	}
	twice, err := codec.Append(nil, v)
	if err != nil || !bytes.Equal(twice, out) {
		t.Fatalf("append %+v: first %s, then %s, %v", v, out, twice, err)
	}
	return out
}

// encodingJSON is the wire form's definition.
func encodingJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// foldsAName reports whether a key in data is a field's name but for its case.
func foldsAName(t reflect.Type, data []byte) bool {
	names := fieldNames(t)
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err == io.EOF || err != nil {
			return false
		}
		s, ok := token.(string)
		if !ok || slices.Contains(names, s) {
			continue
		}
		if slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, s) }) {
			return true
		}
	}
}

// namesOf caches fieldNames.
var namesOf sync.Map

// fieldNames lists the JSON names of all structs within t.
func fieldNames(t reflect.Type) []string {
	if known, ok := namesOf.Load(t); ok {
		return known.([]string)
	}
	var names []string
	seen := make(map[reflect.Type]bool)
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		if seen[t] {
			return
		}
		seen[t] = true
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			walk(t.Elem())
		case reflect.Struct:
			for f := range t.Fields() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "" {
					name = f.Name
				}
				names = append(names, name)
				walk(f.Type)
			}
		}
	}
	walk(t)
	namesOf.Store(t, names)
	return names
}
