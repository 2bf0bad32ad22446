package diag

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/model"
)

func TestSuggest(t *testing.T) {
	all := []string{"queue", "retry", "timeout", "tags", "tz", "unique", "unique-for", "concurrency"}
	for name, want := range map[string]string{
		"qeue": "queue", "queu": "queue", "rtery": "retry", "Timeout": "timeout", "tag": "tags", "zt": "tz", "uniq": "unique",
		"concurency": "concurrency", "concurrent": "concurrency", "zebra": "", "x": "", "": "", "ab": "",
	} {
		if got := Suggest(name, all); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSortOrdersAndRemovesRepetitions(t *testing.T) {
	at := func(file string, offset int) model.Pos {
		return model.Pos{File: file, Offset: offset, Line: 1, Column: offset + 1}
	}
	got := Sort([]Diagnostic{
		{Code: "JG003", Pos: at("b.go", 1), Message: "x"},
		{Code: "JG004", Pos: at("a.go", 9), Message: "x"},
		{Code: "JG003", Pos: at("a.go", 9), Message: "x"},
		{Code: "JG003", Pos: at("b.go", 1), Message: "x"},
		{Code: "JG003", Pos: at("a.go", 10), Message: "x"},
	})
	var order []string
	for _, d := range got {
		order = append(order, Place("", d.Pos)+" "+d.Code)
	}
	if diff := cmp.Diff([]string{"a.go:1:10 JG003", "a.go:1:10 JG004", "a.go:1:11 JG003", "b.go:1:2 JG003"}, order); diff != "" {
		t.Error(diff)
	}
}

func TestTextNamesPlacesFromTheDirectory(t *testing.T) {
	var b strings.Builder
	err := WriteText(&b, "/m/sub", []Diagnostic{
		{Code: "JG001", Pos: model.Pos{File: "/m/sub/a.go", Line: 2, Column: 3}, Message: "one",
			Related: []Note{{Pos: model.Pos{File: "/m/b.go", Line: 4, Column: 5}, Message: "there"}, {Message: "advice"}}},
		{Code: "JG002", Pos: model.Pos{File: "/elsewhere.go"}, Message: "two"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "a.go:2:3: one [JG001]\n\t../b.go:4:5: there\n\tadvice\n/elsewhere.go: two [JG002]\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}
