package readme

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	markdown, err := os.ReadFile("testdata/README.md")
	if err != nil {
		t.Fatal(err)
	}
	steps, err := Parse(string(markdown))
	if err != nil {
		t.Fatal(err)
	}
	var got []Step
	for _, step := range steps {
		step.Body, _, _ = strings.Cut(step.Body, "\n") // the first line will do
		got = append(got, step)
	}
	want := []Step{
		{Kind: Run, Body: "mkdir hello && cd hello", Line: 11},
		{Kind: File, Name: "main.go", Body: "package main", Line: 20},
		{Kind: Run, Body: "go run .", Line: 42},
		{Kind: Output, Body: "hello, reader", Line: 49},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestParseRefusesWhatWouldTestNothing(t *testing.T) {
	const block = "\n```sh\ntrue\n```\n"
	tests := map[string]struct{ markdown, want string }{
		"misspelt word":     {"<!-- quickstart: rum -->" + block, `line 1: "<!-- quickstart: rum -->" is none of`},
		"missing colon":     {"\n<!-- quickstart run -->" + block, "line 2: "},
		"missing space":     {"<!--quickstart: run-->" + block, "line 1: "},
		"indented":          {"  <!-- quickstart: run -->" + block, "line 1: "},
		"no block":          {"<!-- quickstart: run -->\ntext" + block, "line 1: no block follows"},
		"no block at end":   {"<!-- quickstart: run -->\n", "line 1: no block follows"},
		"open block":        {"<!-- quickstart: run -->\n```sh\ntrue\n", "line 2: the block has no end"},
		"output alone":      {"<!-- quickstart: output -->" + block, "line 1: an output must come right after its run"},
		"file outside":      {"<!-- quickstart: file=../go.mod -->" + block, `line 1: file "../go.mod" is not below`},
		"file with no name": {"<!-- quickstart: file= -->" + block, "line 1: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(test.markdown)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestMatchOutput(t *testing.T) {
	for _, test := range []struct {
		want, got string
		ok        bool
	}{
		{"a\nb\n", "a  \nb", true},
		{"a\nb\n", "a\nb\nc\n", false},
		{"a\n", "b\na\n", false},
		{"took …s\n", "took 1.2s\n", true},
		{"took …s\n", "took 1.2m\n", false},
		{"took …s\n", "took 1\n2s\n", false},
		{"a\n…\nb\n", "a\nb\n", true},
		{"a\n…\nb\n", "a\nx\ny\nb\n", true},
		{"a\n…\nb\n", "a\nx\n", false},
		{"…\n", "anything\nat all\n", true},
		{"1.5 (a)\n", "1x5 (a)\n", false},
	} {
		if got := MatchOutput(test.want, test.got); got != test.ok {
			t.Errorf("MatchOutput(%q, %q) = %v", test.want, test.got, got)
		}
	}
}
