package torture_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jobgen/jobgen/gen/internal/torture/testdata/kinds"
	str "github.com/jobgen/jobgen/gen/internal/torture/testdata/string"
)

// writer makes random documents that mostly fit a type: now and then a value of the wrong kind, a null, a field twice,
// unknown or absent, a number at a limit, an escape that few use.
type writer struct {
	*rand.Rand
	strings.Builder
}

// document returns one.
func document(t reflect.Type, seed uint64) []byte {
	w := &writer{Rand: rand.New(rand.NewPCG(seed, 1))}
	w.value(t, 0)
	return []byte(w.String())
}

func (w *writer) one(in int) bool { return w.IntN(in) == 0 }

func (w *writer) pick(choices ...string) { w.WriteString(choices[w.IntN(len(choices))]) }

func (w *writer) space() {
	if w.one(12) {
		w.pick(" ", "\n", "\t\r ")
	}
}

func (w *writer) value(t reflect.Type, depth int) {
	w.space()
	defer w.space()
	switch {
	case w.one(40):
		w.WriteString("null")
		return
	case w.one(400):
		w.pick("1", "-0.5e2", "true", "false", `"x"`, "[]", "{}", `[null,{"a":[1]}]`)
		return
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		w.pick(`"2024-02-29T12:00:00Z"`, `"0001-01-01T00:00:00Z"`, `"2024-01-02T03:04:05.123456789+05:30"`, `"9999-12-31T23:59:59-23:59"`)
		return
	case reflect.TypeFor[json.RawMessage]():
		w.pick("null", `{"a" : [1, "\u00e9"]}`, `"\ud83d\ude00"`, `"\ud83d"`, `"\u0000"`, "1e5", `"<&> \\"`)
		return
	case reflect.TypeFor[big.Int]():
		w.pick("0", "-1", "123456789012345678901234567890")
		return
	case reflect.TypeFor[netip.Addr]():
		w.pick(`""`, `"10.0.0.1"`, `"fe80::1%eth0"`)
		return
	case reflect.TypeFor[net.IP]():
		w.pick(`""`, `"10.0.0.1"`, `"::1"`)
		return
	case reflect.TypeFor[kinds.Color]():
		w.pick(`"#00ff"`, `"#0000"`, `"\u0023ABCD"`)
		return
	case reflect.TypeFor[str.Stringer]():
		w.pick(`"0"`, `"-12"`, `"0012"`)
		return
	case reflect.TypeFor[kinds.Money]():
		w.pick(`{"amount":5,"currency":"EUR"}`, `{ }`)
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		w.pick("true", "false")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		shift := w.IntN(t.Bits()) + w.IntN(2)*w.IntN(2)*w.IntN(2)
		fmt.Fprint(w, int64(w.Uint64())>>min(64-shift, 63))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		fmt.Fprint(w, w.Uint64()>>min(64-w.IntN(t.Bits()+1), 63))
	case reflect.Float32, reflect.Float64:
		w.pick("0", "-0", "1.5", "1e-7", "-2.5E+3", "1e21", "123456789.125", "3.4e38", "5e-324",
			strconv.FormatFloat(w.NormFloat64(), 'g', -1, t.Bits()))
	case reflect.String:
		w.text()
	case reflect.Pointer:
		w.value(t.Elem(), depth)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !w.one(8) {
			w.pick(`""`, `"AA=="`, `"AAE="`, `"AAEC"`, `"+/8="`, `"\u0041AEC"`)
			return
		}
		w.list(t, depth, w.IntN(4))
	case reflect.Array:
		n := t.Len()
		if w.one(4) {
			n = w.IntN(n + 3)
		}
		w.list(t, depth, n)
	case reflect.Map:
		w.object(depth, w.IntN(4), func() reflect.Type {
			w.key(t.Key())
			return t.Elem()
		})
	case reflect.Struct:
		fields := reflect.VisibleFields(t)
		n := len(fields)
		if w.one(3) {
			n = w.IntN(2*n + 1)
		}
		w.object(depth, n, func() reflect.Type {
			if w.one(12) || len(fields) == 0 {
				w.pick(`"zzz"`, `"unknown field"`, `"\u2028"`, `""`)
				return reflect.TypeFor[[]map[string]kinds.Line]()
			}
			f := fields[w.IntN(len(fields))]
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			quoted, err := json.Marshal(name)
			if err != nil {
				panic(err)
			}
			w.Write(quoted)
			return f.Type
		})
	default:
		w.WriteString("null")
	}
}

func (w *writer) list(t reflect.Type, depth, n int) {
	w.WriteByte('[')
	w.space()
	if depth > 6 {
		n = 0
	}
	for i := range n {
		if i > 0 {
			w.WriteByte(',')
		}
		w.value(t.Elem(), depth+1)
	}
	w.WriteByte(']')
}

// object writes n members; member writes a key and says what its value is.
func (w *writer) object(depth, n int, member func() reflect.Type) {
	w.WriteByte('{')
	w.space()
	if depth > 6 {
		n = 0
	}
	for i := range n {
		if i > 0 {
			w.WriteByte(',')
		}
		w.space()
		t := member()
		w.space()
		w.WriteByte(':')
		w.value(t, depth+1)
	}
	w.WriteByte('}')
}

func (w *writer) key(t reflect.Type) {
	switch {
	case t == reflect.TypeFor[kinds.Point]():
		w.pick(`"1/2"`, `"-3/0"`, `"1/\u0032"`)
	case t == reflect.TypeFor[kinds.Color]():
		w.pick(`"#0001"`, `"#0010"`, `"#00aa"`)
	case t.Kind() == reflect.String:
		w.text()
	case w.one(60):
		w.pick(`"x"`, `"1.0"`, `"99999"`, `""`)
	default:
		fmt.Fprintf(w, "%q", strconv.Itoa(w.IntN(120)))
	}
}

func (w *writer) text() {
	w.WriteByte('"')
	for range w.IntN(4) {
		w.pick("a", "B", " ", "é", "日", "😀", "\u2028", "<", "&", `\n`, `\"`, `\\`, `\/`, `\b\f\r\t`, `\u00e9`, `\u2029`,
			`\ud83d\ude00`, `\u001f`, "\x7f")
		if w.one(200) {
			w.pick(`\ud83d`, `\ude00x`, `\ud83d\u0041`, "\xff", `\u0000`)
		}
	}
	w.WriteByte('"')
}
