package jobjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// want is the wire form's definition.
func want(t *testing.T, v any) string {
	t.Helper()
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(buf.String(), "\n")
}

func checkString(t *testing.T, s string) {
	t.Helper()
	got, err := AppendString([]byte("x"), s)
	switch {
	case !utf8.ValidString(s) || strings.Contains(s, "\x00"):
		if !errors.Is(err, ErrInvalidUTF8) && !errors.Is(err, ErrNUL) {
			t.Errorf("AppendString(%q): %q, %v", s, got, err)
		}
	case err != nil || string(got) != "x"+want(t, s):
		t.Errorf("AppendString(%q) = %s, %v, want %s", s, got, err, want(t, s))
	default:
		if back := unquote(got[1:]); string(back) != s {
			t.Errorf("unquote(%s) = %q, want %q", got[1:], back, s)
		}
	}
}

func TestAppendStringAgreesWithEncodingJSON(t *testing.T) {
	for r := range rune(0x3000) {
		checkString(t, "a"+string(r)+"b")
	}
	for _, s := range []string{"", "😀", "\U0010ffff", "\ufffd", "\xff", "a\xc3", "\xed\xa0\x80", "<a href='&'>", strings.Repeat("é\n", 100)} {
		checkString(t, s)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\u2028\"\\\x01\xff")
	f.Fuzz(checkString)
}

func checkFloat(t *testing.T, bits uint64) {
	t.Helper()
	f := math.Float64frombits(bits)
	for _, v := range []any{f, float32(f)} {
		var got []byte
		var err error
		switch v := v.(type) {
		case float64:
			got, err = AppendFloat64(nil, v)
		case float32:
			got, err = AppendFloat32(nil, v)
			f = float64(v)
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			if !errors.Is(err, ErrNotANumber) {
				t.Errorf("%T %v: %s, %v", v, v, got, err)
			}
		} else if err != nil || string(got) != want(t, v) {
			t.Errorf("%T %v: %s, %v, want %s", v, v, got, err, want(t, v))
		}
	}
}

func TestAppendFloatAgreesWithEncodingJSON(t *testing.T) {
	for _, f := range []float64{
		0, math.Copysign(0, -1), 1, -1.5, 1e-6, 9.999999e-7, 1e-7, 1e-10, 1e20, 1e21, -1e21, 123456789.125, 0.1, 1e100, 1e-100,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.MaxFloat32, math.SmallestNonzeroFloat32, math.NaN(), math.Inf(1), math.Inf(-1),
	} {
		checkFloat(t, math.Float64bits(f))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		checkFloat(t, random.Uint64())
	}
}

func FuzzAppendFloat(f *testing.F) {
	f.Add(math.Float64bits(1e21))
	f.Fuzz(checkFloat)
}

func TestAppendBytesAgreesWithEncodingJSON(t *testing.T) {
	type octet uint8
	for n := range 70 {
		b, o := make([]byte, n), make([]octet, n)
		for i := range b {
			b[i] = byte(i * 37)
			o[i] = octet(b[i])
		}
		if got := AppendBytes(nil, b); string(got) != want(t, b) {
			t.Errorf("%d bytes: %s, want %s", n, got, want(t, b))
		}
		if got := AppendBytes(nil, o); string(got) != want(t, b) {
			t.Errorf("%d octets: %s, want %s", n, got, want(t, b))
		}
	}
	if got := AppendBytes(nil, []byte(nil)); string(got) != "null" {
		t.Errorf("nil: %s", got)
	}
}

func TestAppendTimeAgreesWithEncodingJSON(t *testing.T) {
	utc := time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.UTC)
	for _, v := range []time.Time{{}, utc, utc.In(time.FixedZone("", -5*3600)), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		got, err := AppendTime(nil, v)
		if err != nil || string(got) != want(t, v) {
			t.Errorf("%v: %s, %v, want %s", v, got, err, want(t, v))
		}
	}
	dst := []byte("kept")
	for _, v := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), utc.In(time.FixedZone("", 25*3600))} {
		got, err := AppendTime(dst, v)
		if err == nil || string(got) != "kept" {
			t.Errorf("%v: %s, %v, want an error", v, got, err)
		}
	}
}

func TestAppendRawChecksAndCompacts(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		is       error
	}{
		{in: "{ \"a\" : [ 1 , \"\\u00e9\" ] }", want: `{"a":[1,"\u00e9"]}`},
		{in: `"\ud83d\ude00"`, want: `"\ud83d\ude00"`},
		{in: `"\\u0000"`, want: `"\\u0000"`},
		{in: `"\\\u0000"`, is: ErrNUL},
		{in: `"\ud83d"`, is: ErrInvalidUTF8},
		{in: `"\ud83d\u0041"`, is: ErrInvalidUTF8},
		{in: `"\ude00"`, is: ErrInvalidUTF8},
		{in: "\"\xff\"", is: ErrInvalidUTF8},
	} {
		got, err := AppendRaw([]byte("x"), json.RawMessage(tt.in))
		if !errors.Is(err, tt.is) || tt.is == nil && string(got) != "x"+tt.want || tt.is != nil && string(got) != "x" {
			t.Errorf("AppendRaw(%s) = %s, %v", tt.in, got, err)
		}
	}
	for _, bad := range []string{"", "{", "1 2", "nul"} {
		if got, err := AppendRaw(nil, json.RawMessage(bad)); err == nil {
			t.Errorf("AppendRaw(%q) = %s", bad, got)
		}
	}
	if got, err := AppendRaw(nil, json.RawMessage(nil)); err != nil || string(got) != "null" {
		t.Errorf("nil: %s, %v", got, err)
	}
}

type failing struct{ error }

func (f failing) MarshalJSON() ([]byte, error) { return nil, f.error }
func (f failing) MarshalText() ([]byte, error) { return nil, f.error }

func TestMarshallersErrorsAreWrapped(t *testing.T) {
	reason := errors.New("no form")
	if _, err := AppendMarshaler(nil, failing{reason}); !errors.Is(err, reason) {
		t.Errorf("MarshalJSON: %v", err)
	}
	if _, err := AppendText(nil, failing{reason}); !errors.Is(err, reason) {
		t.Errorf("MarshalText: %v", err)
	}
}

// folded is a key whose text loses the letters' case.
type folded string

func (f folded) MarshalText() ([]byte, error) { return []byte(strings.ToLower(string(f))), nil }

func TestEntriesAreSortedByTheirText(t *testing.T) {
	keys := func(entries []Entry[int]) string {
		var list []string
		for _, e := range entries {
			list = append(list, fmt.Sprint(e.Key, "=", e.Value))
		}
		return strings.Join(list, " ")
	}
	if got := keys(StringEntries(map[string]int{"b": 1, "a": 2, "é": 3, "": 4})); got != "=4 a=2 b=1 é=3" {
		t.Error(got)
	}
	if got := keys(IntEntries(map[int8]int{9: 1, 10: 2, -1: 3})); got != "-1=3 10=2 9=1" {
		t.Error(got)
	}
	if got := keys(UintEntries(map[uint16]int{9: 1, 10: 2})); got != "10=2 9=1" {
		t.Error(got)
	}
	entries, err := TextEntries(map[folded]int{"B": 1, "a": 2})
	if got := keys(entries); err != nil || got != "a=2 b=1" {
		t.Error(got, err)
	}
	if _, err := TextEntries(map[folded]int{"A": 1, "a": 2}); !errors.Is(err, ErrDuplicateKey) {
		t.Errorf("two keys with one text: %v", err)
	}
}

func TestAppendingScalarsDoesNotAllocate(t *testing.T) {
	dst := make([]byte, 0, 512)
	text, data, now := strings.Repeat("größe \" ", 8), []byte("0123456789"), time.Now()
	if n := testing.AllocsPerRun(100, func() {
		out := AppendInt(AppendBool(dst, true), -5)
		out = AppendBytes(AppendUint(out, uint8(5)), data)
		out, err1 := AppendString(out, text)
		out, err2 := AppendFloat64(out, 1e-9)
		_, err3 := AppendTime(out, now)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	err := At(At(At(ErrNUL, ".sku"), ".lines", 3, Key("a\"b")), ".order")
	if got, want := err.Error(), `.order.lines[3]["a\"b"].sku: NUL byte`; got != want || !errors.Is(err, ErrNUL) {
		t.Errorf("got %s, want %s", got, want)
	}
	if At(nil, ".x") != nil || AtSecret(nil, ".x") != nil {
		t.Error("nil became an error")
	}
	hidden := AtSecret(At(fmt.Errorf("value 4111: %w", ErrInvalidUTF8), Key("4111")), ".card")
	if got, want := hidden.Error(), ".card: invalid UTF-8"; got != want || !errors.Is(hidden, ErrInvalidUTF8) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := AtSecret(errors.New("bad 4111"), ".card").Error(); got != ".card: secret value refused" {
		t.Error(got)
	}
}

func TestElementAndTruncateKeepWhatIsThere(t *testing.T) {
	s := []int{1, 2, 3}
	*Element(&s, 0) = 9
	Truncate(&s, 2)
	if !slices.Equal(s, []int{9, 2}) {
		t.Errorf("got %v", s)
	}
	*Element(&s, 2) += 10
	if !slices.Equal(s, []int{9, 2, 13}) {
		t.Errorf("what lay behind the slice's end is read into, as encoding/json does: %v", s)
	}
	Truncate(&s, 0)
	if s == nil || len(s) != 0 {
		t.Errorf("an empty array became %#v", s)
	}
}
