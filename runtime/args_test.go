package jobrt

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/runtime/jobjson"
)

// rawJob is a job whose arguments are written as they are.
func rawJob() *Job[string, None] {
	return &Job[string, None]{Service: "shop", Kind: "shop.Raw", Settings: DefaultSettings(), Result: NoneCodec,
		Args: Codec[string]{
			Append: func(dst []byte, v *string) ([]byte, error) { return append(dst, *v...), nil },
			Decode: func(data []byte, v *string) error { *v = string(data); return nil },
		}}
}

func TestArgumentsThatCannotBeStoredAreTypedErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		args string
		want ArgsReason // empty: they can
	}{
		{"plain", `{"a":"b"}`, ""},
		{"as large as can be", `"` + strings.Repeat("x", DefaultMaxArgs-2) + `"`, ""},
		{"one byte too large", `"` + strings.Repeat("x", DefaultMaxArgs-1) + `"`, ArgsTooLarge},
		{"64 MiB", strings.Repeat("x", 64<<20), ArgsTooLarge},
		{"raw NUL", "\"a\x00b\"", ArgsNUL},
		{"escaped NUL", `"a\u0000b"`, ArgsNUL},
		{"escaped NUL in a key", `{"\u0000":1}`, ArgsNUL},
		{"a backslash and u0000", `"a\\u0000b"`, ""},
		{"a backslash and an escaped NUL", `"a\\\u0000b"`, ArgsNUL},
		{"two backslashes and u0000", `"\\\\u0000"`, ""},
		{"NUL after a harmless one", `"\\u0000 \u0000"`, ArgsNUL},
		{"other escapes", `"\u0001\u00e9\n\"\/ u0000"`, ""},
		{"invalid UTF-8", "\"\xff\"", ArgsInvalidUTF8},
		{"half of a UTF-8 character", "\"\xe2\x82\"", ArgsInvalidUTF8},
		{"surrogate in UTF-8", "\"\xed\xa0\x80\"", ArgsInvalidUTF8},
		{"surrogate pair", `"\ud83d\ude00"`, ""},
		{"surrogate pairs", `"\uD83D\uDE00\ud83d\ude00"`, ""},
		{"high surrogate alone", `"\ud83d"`, ArgsInvalidUTF8},
		{"high surrogate before a letter", `"\ud83dx"`, ArgsInvalidUTF8},
		{"high surrogate before another escape", `"\ud83d\u0041"`, ArgsInvalidUTF8},
		{"high surrogate before an escaped backslash", `"\ud83d\\ude00"`, ArgsInvalidUTF8},
		{"two high surrogates", `"\ud83d\ud83d\ude00"`, ArgsInvalidUTF8},
		{"low surrogate alone", `"\ude00"`, ArgsInvalidUTF8},
		{"a backslash and ud83d", `"\\ud83d"`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := new(fakeStore)
			_, err := Enqueue(t.Context(), newTestClient(t, s), rawJob(), tc.args)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := s.only(t).Args; !bytes.Equal(got, []byte(tc.args)) {
					t.Errorf("stored %.100q", got)
				}
				return
			}
			var e *ArgsError
			if !errors.Is(err, ErrArgs) || !errors.As(err, &e) {
				t.Fatalf("got %v, want an ArgsError", err)
			}
			want := ArgsError{Kind: "shop.Raw", Reason: tc.want, Size: len(tc.args), Limit: DefaultMaxArgs}
			if diff := cmp.Diff(want, *e); diff != "" {
				t.Errorf("error differs (-want +got):\n%s", diff)
			}
			if len(err.Error()) > 300 || !strings.Contains(err.Error(), "shop.Raw") || !strings.Contains(err.Error(), string(tc.want)) {
				t.Errorf("text is %.400q", err)
			}
			if sizes := s.sizes(); sizes != nil {
				t.Errorf("sent batches of %v jobs", sizes)
			}
		})
	}
}

func TestACodecsErrorSaysWhatAndWhere(t *testing.T) {
	for _, tc := range []struct {
		args order
		want ArgsReason
		is   error
	}{
		{order{Price: math.NaN()}, ArgsNotANumber, jobjson.ErrNotANumber},
		{order{Text: "!utf8"}, ArgsInvalidUTF8, jobjson.ErrInvalidUTF8},
		{order{Text: "!nul"}, ArgsNUL, jobjson.ErrNUL},
		{order{Text: "!other"}, ArgsUnencodable, nil},
	} {
		s := new(fakeStore)
		_, err := EnqueueMany(t.Context(), newTestClient(t, s), sendJob(), []order{{}, {}, tc.args})
		var e *ArgsError
		if !errors.As(err, &e) || !errors.Is(err, ErrArgs) || e.Reason != tc.want || e.Index != 2 || !strings.Contains(err.Error(), "[2]") {
			t.Errorf("%+v: got %v, want an ArgsError (%s) of [2]", tc.args, err, tc.want)
		}
		var at *jobjson.PathError
		if tc.is != nil && (!errors.Is(err, tc.is) || !errors.As(err, &at)) {
			t.Errorf("%+v: %v does not match %v with its path", tc.args, err, tc.is)
		}
		if s.sizes() != nil {
			t.Error("a part of the batch was sent")
		}
	}
}

func TestAUniqueKeyThatCannotBeMadeIsAnArgsError(t *testing.T) {
	_, err := Enqueue(t.Context(), newTestClient(t, new(fakeStore)), uniqueJob(), order{N: -1})
	var e *ArgsError
	if !errors.As(err, &e) || e.Reason != ArgsNUL || !strings.Contains(err.Error(), "unique key") {
		t.Errorf("got %v", err)
	}
}

func TestMaxArgsIsConfigurable(t *testing.T) {
	c, err := NewClient(new(fakeStore), ClientConfig{MaxArgs: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Enqueue(t.Context(), c, rawJob(), `"12345678"`); err != nil {
		t.Error(err)
	}
	var e *ArgsError
	if _, err := Enqueue(t.Context(), c, rawJob(), `"123456789"`); !errors.As(err, &e) || e.Limit != 10 || e.Size != 11 {
		t.Errorf("got %v", err)
	}
}

// slowEscapes reads a JSON string or document byte by byte and returns the values of its \uXXXX escapes.
func slowEscapes(data []byte) (values []uint16, followsPrevious []bool) {
	last := -1
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		var v uint16
		if i+5 < len(data) && data[i+1] == 'u' && json.Unmarshal([]byte(`"`+string(data[i:i+6])+`"`), new(string)) == nil {
			for _, c := range strings.ToLower(string(data[i+2 : i+6])) {
				v = v<<4 | uint16(strings.IndexRune("0123456789abcdef", c))
			}
			values = append(values, v)
			followsPrevious = append(followsPrevious, last == i)
			last = i + 6
		}
		i++ // whatever is escaped, it escapes nothing
	}
	return values, followsPrevious
}

func FuzzEscapesAreFoundAsByASlowReader(f *testing.F) {
	for _, s := range []string{``, `\`, `\u`, `\u000`, `\u0000`, `\\u0000`, `\\\u0000`, `\u0001\u0000`, `\ud83d\ude00`, `\ud83d`, `\ude00`, `\uD83D\\uDE00`, `\n\u0000`, `\u00\u0000`, `\u000g\u0000`, `\uud83d\u0000`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		values, follows := slowEscapes(data)
		nul, lone := false, false
		for i := 0; i < len(values); i++ {
			switch v := values[i]; {
			case v == 0:
				nul = true
			case !utf16.IsSurrogate(rune(v)):
			case i+1 < len(values) && follows[i+1] && utf16.DecodeRune(rune(v), rune(values[i+1])) != '\uFFFD':
				i++
			default:
				lone = true
			}
		}
		if got := hasEscapedNUL(data); got != nul {
			t.Errorf("hasEscapedNUL(%q) = %t, want %t", data, got, nul)
		}
		if got := hasLoneSurrogate(data); got != lone {
			t.Errorf("hasLoneSurrogate(%q) = %t, want %t", data, got, lone)
		}
		var v any
		if json.Unmarshal(data, &v) == nil && !bytes.Contains(data, []byte{0}) && containsNUL(v) != nul {
			t.Errorf("%q: encoding/json finds NUL %t, hasEscapedNUL %t", data, !nul, nul)
		}
	})
}

// containsNUL looks for NUL in what encoding/json has decoded.
func containsNUL(v any) bool {
	switch v := v.(type) {
	case string:
		return strings.ContainsRune(v, 0)
	case []any:
		for _, e := range v {
			if containsNUL(e) {
				return true
			}
		}
	case map[string]any:
		for k, e := range v {
			if containsNUL(k) || containsNUL(e) {
				return true
			}
		}
	}
	return false
}
