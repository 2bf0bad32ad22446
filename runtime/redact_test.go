package jobrt

import (
	"errors"

	"strings"
	"testing"
)

func TestSecretsAreReplacedAtTheirPaths(t *testing.T) {
	k := KindInfo{Secrets: []string{".email", ".cards[].number", ".map{}.number", ".all", ".a.b", ".rows[][]", "result.token", "result.n"}}
	for _, tc := range []struct{ in, want string }{
		{`{"email":"a@b","n":1}`, `{"email":"[secret]","n":1}`},
		{` { "n" : 1.50e3, "big":12345678901234567890, "email": null } `, `{"n":1.50e3,"big":12345678901234567890,"email":"[secret]"}`},
		{`{"cards":[{"number":"1","name":"x"},{"number":2}]}`, `{"cards":[{"number":"[secret]","name":"x"},{"number":"[secret]"}]}`},
		{`{"map":{"k":{"number":1,"x":2}}}`, `{"map":{"k":{"number":"[secret]","x":2}}}`},
		{`{"all":{"deep":[1,{"x":[]}]},"z":true}`, `{"all":"[secret]","z":true}`},
		{`{"a":{"b":1,"c":2}}`, `{"a":{"b":"[secret]","c":2}}`},
		{`{"a.b":1}`, `{"a.b":"[secret]"}`},
		{`{"rows":[[1,2],[]]}`, `{"rows":[["[secret]","[secret]"],[]]}`},
		{`{"token":"shown","number":1,"other":{"email":"<shown>"}}`, `{"token":"shown","number":1,"other":{"email":"<shown>"}}`},
		{`{"email":1,"email":2}`, `{"email":"[secret]","email":"[secret]"}`},
		{`{}`, `{}`}, {`null`, `null`}, {`"x"`, `"x"`}, {`[]`, `[]`},
	} {
		got, err := k.RedactArgs([]byte(tc.in))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: got %s, %v; want %s", tc.in, got, err, tc.want)
		}
	}
	got, err := k.RedactResult([]byte(`{"email":"shown","token":"t","n":[1,2]}`))
	if want := `{"email":"shown","token":"[secret]","n":"[secret]"}`; err != nil || string(got) != want {
		t.Errorf("result: got %s, %v; want %s", got, err, want)
	}
}

func TestWhatIsNotJSONIsNotShown(t *testing.T) {
	k := KindInfo{Secrets: []string{".email"}}
	for _, in := range []string{``, `{`, `{"x":"hunter2"`, `{"email":"hunter2`, `{"x":1}hunter2`, `hunter2`, `{"x":"hunter2",}`, `[1 2]`, `{"email"}`} {
		got, err := k.RedactArgs([]byte(in))
		if err == nil || got != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
}

func TestErrorsOfDecodingQuoteNoSecrets(t *testing.T) {
	const data = `{"card":{"number":"4111 \"x\"","cvc":123},"name":"Ann","keys":["k-1","k-2"]}`
	codec := Codec[order]{
		Decode:  func([]byte, *order) error { return errors.New(`bad "4111 \"x\"" and 4111 "x", 123, k-2 of Ann`) },
		Secrets: []string{".card", ".keys[]"},
	}
	err := codec.decode([]byte(data), new(order))
	if want := `bad "[secret]" and [secret], [secret], [secret] of Ann`; err == nil || err.Error() != want {
		t.Errorf("got %v; want %s", err, want)
	}
	if err := codec.decode([]byte(`{"card":{"number":"4111`), new(order)); err == nil || strings.Contains(err.Error(), "4111") {
		t.Errorf("data that is no JSON: %v", err)
	}
	codec.Secrets = nil
	if err := codec.decode([]byte(data), new(order)); err == nil || !strings.Contains(err.Error(), "k-2") {
		t.Errorf("without secrets: %v", err)
	}
	j := sendJob()
	j.Args.Secrets, j.Args.Decode = []string{".text"}, func([]byte, *order) error { return errors.New("cannot read hunter2") }
	from := ParentOutcome{ID: NewID(), Result: []byte(`{"text":"hunter2"}`)}
	for name, call := range map[string]func() error{
		"arguments":         func() error { _, err := j.decodeArgs(from.Result, j.Args.Schema); return err },
		"a parent's result": func() error { _, err := j.decodeFrom(from); return err },
		"an earlier version": func() error {
			return UpgradeFrom(1, j.Args, func(o order) (order, error) { return o, nil }).Decode(from.Result, new(order))
		},
	} {
		if err := call(); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), Redacted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
