package torture_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	jobrt "github.com/jobgen/jobgen/runtime"
	"github.com/jobgen/jobgen/runtime/jobjson"
)

func TestAppendNamesTheFieldThatCannotBeStored(t *testing.T) {
	nan := math.NaN()
	nested := func(edit func(*kinds.Nested)) error {
		var v kinds.Nested
		edit(&v)
		_, err := gen.FanJob.Args.Append(nil, &v)
		return err
	}
	methods := func(edit func(*kinds.Methods)) error {
		var v kinds.Methods
		edit(&v)
		_, err := gen.EmbeddedJob.Result.Append(nil, &v)
		return err
	}
	lines := &[]kinds.Line{{}, {SKU: "\x00"}}
	for _, tt := range []struct {
		err  error
		is   error
		want string
	}{
		{nested(func(v *kinds.Nested) { v.Lines = []kinds.Line{{}, {SKU: "a\xffb"}} }), jobjson.ErrInvalidUTF8, ".lines[1].sku: invalid UTF-8"},
		{nested(func(v *kinds.Nested) { v.Matrix[1][0] = &nan }), jobjson.ErrNotANumber, ".matrix[1][0]: not a number"},
		{nested(func(v *kinds.Nested) { v.ByColor = map[kinds.Color]float64{5: math.Inf(-1)} }), jobjson.ErrNotANumber, `.by_color["#0005"]: not a number`},
		{nested(func(v *kinds.Nested) { v.Deep = [][]map[string]*[]kinds.Line{{{"k": lines}}} }), jobjson.ErrNUL, `.deep[0][0]["k"][1].sku: NUL byte`},
		{nested(func(v *kinds.Nested) { v.ByName = map[string]kinds.Line{"\xff": {}} }), jobjson.ErrInvalidUTF8, `.by_name["\xff"]: invalid UTF-8`},
		{methods(func(v *kinds.Methods) { v.Raw = json.RawMessage(`{"a":"\u0000"}`) }), jobjson.ErrNUL, ".raw: NUL byte"},
		{methods(func(v *kinds.Methods) { v.Raw = json.RawMessage(`"\ud800"`) }), jobjson.ErrInvalidUTF8, ".raw: invalid UTF-8"},
		{methods(func(v *kinds.Methods) { v.Times = []time.Time{{}, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)} }), nil, ".times[1]: "},
	} {
		if tt.err == nil || !strings.HasPrefix(tt.err.Error(), tt.want) || tt.is != nil && !errors.Is(tt.err, tt.is) {
			t.Errorf("got %v, want %q", tt.err, tt.want)
		}
	}
}

func TestDecodeSaysWhatWasExpectedWhereAndWhatWasFound(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{`{"lines":[{"qty":1},{"sku":5}]}`, ".lines[1].sku: expected a string, found a number (byte 27)"},
		{`{"lines":{"qty":1}}`, ".lines: expected an array, found an object (byte 9)"},
		{`{"by_int":{"300":[]}}`, `.by_int["300"]: map key: 300 is out of range of a signed integer of 8 bits (byte 17)`},
		{`{"by_name":{"a b":{"qty":1.5}}}`, `.by_name["a b"].qty: expected an integer, found 1.5 (byte 25)`},
		{`{"lines":[{"qty":3000000000}]}`, ".lines[0].qty: 3000000000 is out of range of a signed integer of 32 bits (byte 17)"},
		{`{"fixed":[256]}`, ".fixed[0]: 256 is out of range of an unsigned integer of 8 bits (byte 10)"},
		{`{"map":{"k":"%"}}`, `.map["k"]: expected base64: illegal base64 data at input byte 0 (byte 12)`},
		{`{"by_color":{"red":1}}`, `.by_color["red"]: map key: color: want # and four digits (byte 19)`},
		{`[1]`, "expected an object, found an array (byte 0)"},
		{`{"lines":[}`, "not JSON: invalid character '}' looking for beginning of value (byte 10)"},
		{`{} {}`, "not JSON: invalid character '{' after top-level value (byte 3)"},
		{``, "not JSON: unexpected end of JSON input (byte 0)"},
	} {
		var v kinds.Nested
		err := gen.FanJob.Args.Decode([]byte(tt.data), &v)
		if err == nil || err.Error() != tt.want {
			t.Errorf("decode %s:\ngot  %v\nwant %s", tt.data, err, tt.want)
		}
	}
}

func TestDecodeMatchesNamesExactly(t *testing.T) {
	var v kinds.Line
	if err := gen.SendInvoiceJob.Result.Decode([]byte(`{"SKU":"upper","Qty":3,"qty":4}`), &v); err != nil {
		t.Fatal(err)
	}
	if want := (kinds.Line{Qty: 4}); v != want {
		t.Errorf("got %+v, want %+v", v, want)
	}
}

// TestMapElementsAreWrittenThroughTheirMethods shows the one value that is written otherwise than by encoding/json, which
// writes {} for the elements and so loses them.
func TestMapElementsAreWrittenThroughTheirMethods(t *testing.T) {
	in := kinds.Ledger{Sums: map[kinds.Cents]big.Int{5: *big.NewInt(-7), 10: *big.NewInt(0)}}
	data, err := gen.SparseJob.Result.Append(nil, &in)
	if want := `{"sums":{"10":0,"5":-7}}`; err != nil || string(data) != want {
		t.Fatalf("%s, %v, want %s", data, err, want)
	}
	var out kinds.Ledger
	if err := gen.SparseJob.Result.Decode(data, &out); err != nil || !reflect.DeepEqual(out, in) {
		t.Errorf("read back %+v, %v", out, err)
	}
}

// TestErrorsHoldNoSecrets tries every way in which a secret's text could come into an error.
func TestErrorsHoldNoSecrets(t *testing.T) {
	codec := gen.PrivateJob.Args
	for _, data := range []string{
		`{"email":4111}`, `{"due":"4111"}`, `{"due":4111}`, `{"cards":[{"number":4111}]}`, `{"map":{"1":{"number":[4111]}}}`,
	} {
		var v kinds.Private
		err := codec.Decode([]byte(data), &v)
		if err == nil || strings.Contains(err.Error(), "4111") {
			t.Errorf("decode %s: %v", data, err)
		}
	}
	for _, v := range []*kinds.Private{
		{Email: "4111\xff"}, {Cards: []kinds.Card{{Number: "4111\x00"}}}, {Due: time.Date(41110, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := codec.Append(nil, v)
		if err == nil || strings.Contains(err.Error(), "4111") {
			t.Errorf("append: %v", err)
		}
	}
}

func TestACodecWritesWithoutAllocating(t *testing.T) {
	v := scalars()
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := gen.SendInvoiceJob.Args.Append(dst, &v); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func scalars() kinds.Scalars {
	return kinds.Scalars{
		Bool: true, Int: -1, Int8: 127, Int16: 1, Int32: 2, Int64: math.MinInt64, Uint: 3, Uint8: 255, Uint16: 4, Uint32: 5,
		Uint64: math.MaxUint64, Float32: 0.1, Float64: 1e-7, String: "Grüße, \"Welt\"\n", Bytes: []byte("hello, world"),
		Time: time.Date(2024, 2, 29, 12, 0, 0, 123456789, time.UTC), Duration: time.Hour, Untagged: "plain text of some length",
	}
}

func nestedValue() kinds.Nested {
	return kinds.Nested{
		Lines:  []kinds.Line{{SKU: "A-1", Qty: 1}, {SKU: "B-2", Qty: 20}, {SKU: "C-3", Qty: 300}},
		ByName: map[string]kinds.Line{"one": {SKU: "x"}, "two": {SKU: "y"}},
	}
}

func BenchmarkCodec(b *testing.B) {
	flat, nested := scalars(), nestedValue()
	b.Run("flat", func(b *testing.B) { benchmark(b, gen.SendInvoiceJob.Args, &flat) })
	b.Run("nested", func(b *testing.B) { benchmark(b, gen.FanJob.Args, &nested) })
}

func benchmark[T any](b *testing.B, codec jobrt.Codec[T], v *T) {
	data, err := codec.Append(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	dst := make([]byte, 0, 2*len(data))
	run("append", func() error { _, err := codec.Append(dst, v); return err })
	run("append/encoding-json", func() error { _, err := json.Marshal(v); return err })
	run("decode", func() error { var w T; return codec.Decode(data, &w) })
	run("decode/encoding-json", func() error { var w T; return json.Unmarshal(data, &w) })
}
