package templates_test

import (
	"bytes"
	"testing"

	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/templates"
)

func renderTorture(t *testing.T) (*model.Module, map[string][]byte) {
	t.Helper()
	m := tortureModel(t)
	files, err := templates.Render(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m, files
}

func TestAFileThatSaysTheSameIsKept(t *testing.T) {
	m, fresh := renderTorture(t)
	spaced := make(map[string][]byte)
	for name, src := range fresh {
		spaced[name] = append(bytes.ReplaceAll(src, []byte("\n\n"), []byte("\n\n\n")), '\n')
	}
	kept, err := templates.Render(m, spaced)
	if err != nil {
		t.Fatal(err)
	}
	for name := range fresh {
		if !bytes.Equal(kept[name], spaced[name]) {
			t.Errorf("%s differs in white space only and was formatted anew", name)
		}
	}
}

func TestAFileThatSaysSomethingElseIsReplaced(t *testing.T) {
	m, fresh := renderTorture(t)
	for what, change := range map[string]func([]byte) []byte{
		"a name":    func(b []byte) []byte { return bytes.Replace(b, []byte("package "), []byte("package x"), 1) },
		"a comment": func(b []byte) []byte { return bytes.Replace(b, []byte("DO NOT EDIT."), []byte("DO EDIT."), 1) },
		"a literal": func(b []byte) []byte {
			return bytes.Replace(b, []byte("github.com/jobgen"), []byte("github.com/other"), 1)
		},
		"a missing end":  func(b []byte) []byte { return b[:len(b)/2] },
		"a longer end":   func(b []byte) []byte { return append(bytes.Clone(b), "\nvar more int\n"...) },
		"a conflict":     func(b []byte) []byte { return append([]byte("<<<<<<< HEAD\n"), b...) },
		"a NUL byte":     func(b []byte) []byte { return append(bytes.Clone(b), 0) },
		"nothing at all": func([]byte) []byte { return []byte{} },
	} {
		changed := make(map[string][]byte)
		for name, src := range fresh {
			changed[name] = change(src)
		}
		got, err := templates.Render(m, changed)
		if err != nil {
			t.Fatal(err)
		}
		for name := range fresh {
			if !bytes.Equal(got[name], fresh[name]) {
				t.Errorf("%s with %s changed was kept", name, what)
			}
		}
	}
}
