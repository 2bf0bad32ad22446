package jobrt

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

type orderV1 struct{ Number string }

type orderV2 struct{ N int }

// thirdOrder is sendJob at version 3, which reads the two before it.
func thirdOrder() *Job[order, receipt] {
	j := sendJob()
	j.Settings.Version = 3
	j.Upgrades = []Upgrade[order]{
		UpgradeFrom(1, jsonCodec(func(*orderV1) error { return nil }), func(old orderV1) (order, error) {
			var o order
			_, err := fmt.Sscan(old.Number, &o.N)
			return o, err
		}),
		UpgradeFrom(2, jsonCodec(func(*orderV2) error { return nil }), func(old orderV2) (order, error) { return order{N: old.N, Text: "second"}, nil }),
	}
	return j
}

func TestArgumentsAreReadAsTheyWereStored(t *testing.T) {
	for _, tc := range []struct {
		schema, data, want, fails string
	}{
		{schema: "0123456789abcdef", data: `{"Number":"7"}`, want: `{"n":7}`},
		{schema: "2:0123456789abcdef", data: `{"N":7}`, want: `{"n":7,"text":"second"}`},
		{schema: "3:0123456789abcdef", data: `{"n":7,"text":"third"}`, want: `{"n":7,"text":"third"}`},
		{schema: "3:fedcba9876543210", data: `{"n":7}`, want: `{"n":7}`}, // a compatible change within the version
		{schema: "0123456789abcdef", data: `{"Number":"seven"}`, fails: "version 1: expected integer"},
		{schema: "0123456789abcdef", data: `[]`, fails: "version 1: json"},
		{schema: "4:0123456789abcdef", data: `{"n":7}`, fails: "stored by a newer build: version 4, this build reads 3"},
		{schema: "x:0123456789abcdef", data: `{"n":7}`, fails: "has no version"},
		{schema: "1:0123456789abcdef", data: `{"n":7}`, fails: "has no version"},
	} {
		got, err := thirdOrder().decodeArgs([]byte(tc.data), tc.schema)
		var undecodable *decodeError
		if tc.fails != "" {
			if !errors.As(err, &undecodable) || !strings.Contains(err.Error(), tc.fails) || got != (order{}) {
				t.Errorf("%s under %s: %+v, %v; want a decodeError with %q", tc.data, tc.schema, got, err, tc.fails)
			}
			continue
		}
		if text, _ := json.Marshal(got); err != nil || string(text) != `{"n":7,`+`"text":"`+got.Text+`"}` && string(text) != tc.want || string(text) != tc.want {
			t.Errorf("%s under %s: %s, %v; want %s", tc.data, tc.schema, text, err, tc.want)
		}
	}
	j := thirdOrder()
	j.Upgrades = j.Upgrades[1:]
	if _, err := j.decodeArgs([]byte(`{}`), "0123456789abcdef"); err == nil || !strings.Contains(err.Error(), "version 1 of the arguments has no upgrade to 3") {
		t.Errorf("a version without an upgrade: %v", err)
	}
	plain := sendJob()
	if _, err := plain.decodeArgs([]byte(`{"n":7}`), "2:0123456789abcdef"); err == nil || !strings.Contains(err.Error(), "newer build") {
		t.Errorf("version 2 read by version 1: %v", err)
	}
}

func TestTheReadSchemaChangesWithAllThatDecidesHowARowIsRead(t *testing.T) {
	if got := sendJob().readSchema(); got != "0123456789abcdef" {
		t.Errorf("a plain job's is %s; want its arguments'", got)
	}
	seen := map[string]string{}
	for name, change := range map[string]func(*Job[order, receipt]){
		"plain":           func(*Job[order, receipt]) {},
		"another type":    func(j *Job[order, receipt]) { j.Args.Schema = "1111111111111111" },
		"another version": func(j *Job[order, receipt]) { j.Settings.Version = 2 },
		"an upgrade":      func(j *Job[order, receipt]) { j.Settings.Version = 2; j.Upgrades = thirdOrder().Upgrades[:1] },
		"two upgrades":    func(j *Job[order, receipt]) { j.Settings.Version = 2; j.Upgrades = thirdOrder().Upgrades },
		"a parent":        func(j *Job[order, receipt]) { j.Parents = []ParentType{ParentOf(NoneCodec)} },
		"another parent":  func(j *Job[order, receipt]) { j.Parents = []ParentType{ParentOf(sendJob().Result)} },
		"two parents": func(j *Job[order, receipt]) {
			j.Parents = []ParentType{ParentOf(NoneCodec), ParentOf(sendJob().Result)}
		},
		"parents reordered": func(j *Job[order, receipt]) {
			j.Parents = []ParentType{ParentOf(sendJob().Result), ParentOf(NoneCodec)}
		},
	} {
		j := sendJob()
		change(j)
		schema := j.readSchema()
		if other, taken := seen[schema]; taken {
			t.Errorf("%s has the same as %s: %s", name, other, schema)
		}
		seen[schema] = name
	}
}
