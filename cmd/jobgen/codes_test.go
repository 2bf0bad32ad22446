package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jobgen/jobgen/gen"
)

// TestEveryCodeIsExplainedAndShown checks that each code that the source can
// report has an explanation, and that a script shows it.
func TestEveryCodeIsExplainedAndShown(t *testing.T) {
	code := regexp.MustCompile(`"(JG\d\d\d)"`)
	reported := map[string]bool{"JG015": true} // reported by generate -v alone
	err := filepath.WalkDir("../../gen/internal", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "diag/codes.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range code.FindAllStringSubmatch(string(data), -1) {
			reported[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	var scripts strings.Builder
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(data)
	}

	_, topics := gen.Explain("")
	for _, c := range topics {
		if !strings.HasPrefix(c, "JG") {
			continue
		}
		if !reported[c] {
			t.Errorf("%s is explained but never reported", c)
		}
		delete(reported, c)
		if !strings.Contains(scripts.String(), "["+c+"]") && !strings.Contains(scripts.String(), `[`+c+`\]`) {
			t.Errorf("no script shows %s", c)
		}
		if text, _ := gen.Explain(c); !strings.Contains(text, "\nwrong:\n") || !strings.Contains(text, "\nright:\n") {
			t.Errorf("%s is explained without examples:\n%s", c, text)
		}
	}
	for c := range reported {
		t.Errorf("%s is reported but not explained", c)
	}
}
