package torture_test

import (
	"reflect"
	"testing"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/gen"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// fuzz holds codec against encoding/json: on documents made for its type, on each seed, and, under go test -fuzz, on
// what the fuzzer makes of them.
func fuzz[T any](f *testing.F, codec jobrt.Codec[T], seeds ...string) {
	for _, s := range append(seeds, "null", "{}", "[]", `""`, "1", "true", "{", `{"a":1} x`, `{"a":{"b":[1,"}",{}]}}`) {
		f.Add([]byte(s))
	}
	for seed := range uint64(50) {
		f.Add(document(reflect.TypeFor[T](), seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) { differ(t, codec, data) })
}

func FuzzCodecScalars(f *testing.F) {
	fuzz(f, gen.SendInvoiceJob.Args, `{"int8":128}`, `{"uint8":-1}`, `{"int":1.0}`, `{"int":1e2}`, `{"float32":1e39}`,
		`{"float64":1e999}`, `{"bytes":[1,2,255]}`, `{"bytes":"AA"}`, `{"bytes":"A\nA=="}`, `{"time":"2024-01-01"}`,
		`{"time":1}`, `{"duration":90000000000}`, `{"string":"\ud800"}`, "{\"string\":\"\xff\"}", `{"bool":1}`)
}

func FuzzCodecNamed(f *testing.F) { fuzz(f, gen.NamedJob.Args, `{"Cents":9223372036854775808}`) }

func FuzzCodecOptional(f *testing.F) {
	fuzz(f, gen.NamedJob.Result, `{"float64":-0,"slice":[],"map":{},"bytes":"","ip":"","both":[]}`)
}

func FuzzCodecOmitZero(f *testing.F) {
	fuzz(f, gen.OmitZeroJob.Args, `{"float":-0,"array":[-0,0],"slice":[],"odd":{"n":2},"odd_ptr":{"n":2},"even":1,"both":3}`)
}

func FuzzCodecNested(f *testing.F) {
	fuzz(f, gen.FanJob.Args, `{"lines":[{"sku":"a","qty":1},{"sku":"b"}],"lines":[{"qty":2}]}`,
		`{"by_name":{"x":{"sku":"a"},"x":{"qty":1}},"by_int":{"128":[]}}`, `{"fixed":[1,2,3,4,5],"array":[{}],"matrix":[[1,null]]}`)
}

func FuzzCodecEmbedded(f *testing.F) {
	fuzz(f, gen.EmbeddedJob.Args, `{"id":1,"depth":2,"side":"s","Label":"l","line":{"sku":"x"},"own":"o","note":"n"}`)
}

func FuzzCodecMethods(f *testing.F) {
	fuzz(f, gen.EmbeddedJob.Result, `{"raw":null,"big":null,"ip":null,"color_p":null}`, `{"raw":{"a" : "\u0000"}}`, `{"addr":1}`)
}

func FuzzCodecWords(f *testing.F) {
	fuzz(f, gen.WordsJob.Args, `{"größe":1,"日本":"x","a&b<c>":"z"}`)
}

func FuzzCodecSparse(f *testing.F) { fuzz(f, gen.SparseJob.Args, `{"a":{}}`, `{"c":[]}`) }

func FuzzCodecPage(f *testing.F) { fuzz(f, gen.DeepJob.Result) }

func FuzzCodecRoot(f *testing.F) { fuzz(f, gen.PrivateJob.Result, `{"amount":1,"currency":"\u0000"}`) }

func FuzzCodecPrivate(f *testing.F) { fuzz(f, gen.PrivateJob.Args) }

// many runs documents of one type through differ.
func many[T any](t *testing.T, codec jobrt.Codec[T]) {
	t.Helper()
	n := uint64(400)
	accepted := 0
	for seed := range n {
		data := document(reflect.TypeFor[T](), seed)
		var v T
		if codec.Decode(data, &v) == nil {
			accepted++
		}
		differ(t, codec, data)
	}
	if accepted < int(n)/4 {
		t.Errorf("only %d of %d documents fit %T", accepted, n, *new(T))
	}
}

func TestCodecsAgreeWithEncodingJSON(t *testing.T) {
	many(t, gen.SendInvoiceJob.Args)
	many(t, gen.SendInvoiceJob.Result)
	many(t, gen.NamedJob.Args)
	many(t, gen.NamedJob.Result)
	many(t, gen.OmitZeroJob.Args)
	many(t, gen.FanJob.Args)
	many(t, gen.EmbeddedJob.Args)
	many(t, gen.EmbeddedJob.Result)
	many(t, gen.WordsJob.Args)
	many(t, gen.WordsJob.Result)
	many(t, gen.SparseJob.Args)
	many(t, gen.DeepJob.Result)
	many(t, gen.PrivateJob.Args)
	many(t, gen.PrivateJob.Result)
	many(t, gen.HiddenJob.Args)
	many(t, gen.HiddenJob.Result)
}
