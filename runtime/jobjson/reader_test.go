package jobjson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestDecodeRefusesWhatIsNotOneValue(t *testing.T) {
	for _, data := range []string{"", " ", "{", `{"a"}`, "1 2", "{}x", `"\x"`, "\"\n\"", "nul", "[1,]"} {
		var v struct{}
		err := Decode([]byte(data), &v, func(*Reader, *struct{}) { t.Errorf("%q was read", data) })
		var syntax *json.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestReaderKeepsTheFirstErrorAndStops(t *testing.T) {
	var v [3]int
	err := Decode([]byte(`{"a":1,"b":"x","c":true}`), &v, func(r *Reader, v *[3]int) {
		if !r.Object() {
			t.Fatal("no object")
		}
		for i := 0; r.More(); i++ {
			ReadInt(r, &v[i])
		}
		ReadInt(r, &v[2])
		if r.Object() || r.Array() || r.Null() || r.More() {
			t.Error("read on after an error")
		}
		r.Skip()
	})
	if want := ".b: expected an integer, found a string (byte 11)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if v != [3]int{1, 0, 0} {
		t.Errorf("read %v", v)
	}
}

func TestReaderSkipsWhateverItIsNotAskedFor(t *testing.T) {
	data := ` { "a" : {"x":["}",{"y":"\"]"}]} , "b":[[],[{}],-1.5e+3] ,"c":null,"d":"\\", "n" : 7 } `
	var n int
	if err := Decode([]byte(data), &n, func(r *Reader, n *int) {
		for r.Object(); r.More(); {
			if string(r.Key()) == "n" {
				ReadInt(r, n)
			} else {
				r.Skip()
			}
		}
	}); err != nil || n != 7 {
		t.Errorf("n = %d, %v", n, err)
	}
}

func TestSecretsEndThePathAndHideTheReason(t *testing.T) {
	var v struct{}
	err := Decode([]byte(`{"card":{"4111":["x"]}}`), &v, func(r *Reader, _ *struct{}) {
		r.Object()
		r.More()
		r.Secret()
		r.Object()
		r.More()
		r.Array()
		r.More()
		r.fail(r.off, errors.New("4111 is no card"))
	})
	if want := ".card: secret value refused (byte 17)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNumbersInErrorsAreCut(t *testing.T) {
	var n int8
	err := Decode([]byte(strings.Repeat("9", 1000)), &n, func(r *Reader, n *int8) { ReadInt(r, n) })
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("error of %d bytes", len(err.Error()))
	}
}

func TestUnquoteReadsEveryEscape(t *testing.T) {
	for quoted, want := range map[string]string{
		`""`:                       "",
		`"\"\\\/\b\f\n\r\t\u00e9"`: "\"\\/\b\f\n\r\té",
		`"\ud83d\ude00x"`:          "😀x",
		`"\ud83dx"`:                "\ufffdx",
		`"\ude00\ud83d"`:           "\ufffd\ufffd",
		`"\ud83d\u0041"`:           "\ufffdA",
		"\"a\xff\"":                "a\ufffd",
		`"\ud83d\ud83d\ude00"`:     "\ufffd😀",
	} {
		if got := string(unquote([]byte(quoted))); got != want {
			t.Errorf("unquote(%s) = %q, want %q", quoted, got, want)
		}
	}
}
