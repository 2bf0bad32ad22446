package mistakes

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jobgen/jobgen/internal/proof"
)

var (
	code = regexp.MustCompile(`\bJG\d{3}\b`)
	rule = regexp.MustCompile(`\b[A-Z]+(?:_[A-Z]+)+\b`)
)

// refusals are the lines by which a script shows when a mistake is found.
var refusals = map[string]*regexp.Regexp{
	"compile":  regexp.MustCompile(`(?m)^! exec go build `),
	"generate": regexp.MustCompile(`(?m)^code [14] jobgen(?: |$)`),
	"check":    regexp.MustCompile(`(?m)^(?:code [134] jobgen (?:check|breaking|vet)|exec jobgen breaking)\b`),
}

func TestJobgensCellsAreProved(t *testing.T) {
	tests, known, ruled := proof.Funcs(t, "../.."), proof.Read(t, codes), proof.Read(t, rules)
	for _, r := range rows(t) {
		c := r.jobgen
		if len(c.proofs) == 0 {
			t.Errorf("line %d: %q names no test", r.line, c.text)
		}
		text := "" // of the scripts together
		for _, name := range c.proofs {
			if proof.IsFunc(name) {
				if !tests[name] {
					t.Errorf("line %d: there is no %s", r.line, name)
				}
				continue
			}
			data, err := os.ReadFile(filepath.Join(proof.Scripts, name+".txtar"))
			if err != nil {
				t.Errorf("line %d: %v", r.line, err)
			}
			text += string(data)
		}
		for _, name := range code.FindAllString(c.text, -1) {
			if !strings.Contains(known, `"`+name+`"`) {
				t.Errorf("line %d: jobgen explains no %s", r.line, name)
			}
			if !strings.Contains(text, name) {
				t.Errorf("line %d: none of %v shows %s", r.line, c.proofs, name)
			}
		}
		for _, name := range rule.FindAllString(c.text, -1) {
			if !strings.Contains(ruled, `"`+name+`"`) {
				t.Errorf("line %d: the lock has no rule %s", r.line, name)
			}
			if !strings.Contains(text, name) {
				t.Errorf("line %d: none of %v shows %s", r.line, c.proofs, name)
			}
		}
		if shows := refusals[c.stage]; shows != nil && text != "" && !shows.MatchString(text) {
			t.Errorf("line %d: none of %v is refused by %s", r.line, c.proofs, c.stage)
		}
		if c.stage == "generate" && text == "" {
			t.Errorf("line %d: no script shows what generate says", r.line)
		}
	}
}
