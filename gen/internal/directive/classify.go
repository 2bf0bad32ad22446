package directive

import (
	"regexp"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
)

// Class says what a comment is to jobgen.
type Class int

// The classes.
const (
	None     Class = iota // nothing to do with jobgen
	Job                   // //job:…
	Defaults              // //job:defaults
	Queue                 // //jobqueue:name
	Schedule              // //job:schedule
	Miss                  // was meant to be one, but Go takes it for prose: see NearMiss
)

const (
	jobPrefix   = "//job:"
	queuePrefix = "//jobqueue:"
)

// Classify says what the text of a comment, marks included, is to jobgen.
func Classify(text string) Class {
	if rest, ok := strings.CutPrefix(text, jobPrefix); ok && startsDirective(rest) {
		switch word, _, _ := strings.Cut(strings.ReplaceAll(rest, "\t", " "), " "); word {
		case "defaults":
			return Defaults
		case "schedule":
			return Schedule
		}
		return Job
	}
	if rest, ok := strings.CutPrefix(text, queuePrefix); ok && startsDirective(rest) {
		return Queue
	}
	if _, ok := NearMiss(text); ok {
		return Miss
	}
	return None
}

// startsDirective reports whether Go takes "//tool:"+rest for a directive.
func startsDirective(rest string) bool {
	return rest != "" && (rest[0] >= 'a' && rest[0] <= 'z' || rest[0] >= '0' && rest[0] <= '9')
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

var missPattern = regexp.MustCompile(`(?is)^/([/*])(/?\s*[+@]?)(job[-_]?queues?|jobgen|jobs|job)(\s*)(:|：)?(.*)$`)

// NearMiss reports a comment that was meant for jobgen but isn't a directive
// to Go, with what to write instead.
func NearMiss(text string) (Problem, bool) {
	m := missPattern.FindStringSubmatch(text)
	if m == nil {
		return Problem{}, false
	}
	block, gap, tool, colon, rest := m[1] == "*", m[2], m[3], m[5] != "", m[6]
	if block {
		rest, _, _ = strings.Cut(strings.TrimSuffix(rest, "*/"), "\n")
	}
	prefix := jobPrefix
	if strings.Contains(strings.ToLower(tool), "queue") {
		prefix = queuePrefix
	}
	trimmed := strings.TrimSpace(rest)
	if !block && gap == "" && m[4] == "" && m[5] == ":" && startsDirective(rest) && (tool == "job" || tool == "jobqueue") {
		return Problem{}, false // a directive
	}
	if !meant(prefix, tool, gap == "" && colon, colon, m[4]+rest, trimmed) {
		return Problem{}, false
	}

	want := trimmed
	if want == "" && prefix == jobPrefix {
		want = "handler"
	}
	quoted := strings.HasPrefix(want, `"`) && prefix == jobPrefix
	if quoted {
		want = "handler " + want
	}
	word, others, _ := strings.Cut(want, " ")
	key, value, pair := strings.Cut(word, "=")
	key = strings.ToLower(key)
	if pair {
		key += "=" + value
	}
	if others != "" {
		key += " " + others
	}
	want = prefix + key

	why := "Go takes this line for prose and the settings are lost"
	switch {
	case block:
		why = "a block comment is never a directive"
	case trimmed == "":
		why = "a bare " + prefix + " is not a directive"
	case quoted:
		why = "a directive begins with a letter"
	case gap == "" && "//"+tool+m[5] != prefix && (colon || tool != strings.ToLower(tool)), !strings.EqualFold(tool, "job") && !strings.EqualFold(tool, "jobqueue"):
		why = "the marker is " + prefix
	case gap == "" && colon && rest == trimmed && m[4] == "":
		why = "a directive's first letter must be lower case"
	}
	p := Problem{Code: "JG001", Pos: 0, End: len(text), Message: "write " + want + "; " + why}
	if !block || !strings.Contains(text, "\n") {
		p.Fix = &TextFix{Message: "write " + prefix, Pos: 0, End: len(text), New: want}
	}
	return p, true
}

// meant tells an annotation gone wrong from prose that begins with "job".
func meant(prefix, tool string, tight, colon bool, after, trimmed string) bool {
	first, _, several := strings.Cut(trimmed, " ")
	key, _, pair := strings.Cut(first, "=")
	form := strings.EqualFold(key, "defaults") || strings.EqualFold(key, "schedule")
	known := form || Lookup(InJob|InQueue, strings.ToLower(key)) != nil
	if prefix == queuePrefix {
		return colon || strings.Contains(trimmed, "=")
	}
	switch {
	case tight && strings.EqualFold(tool, "job"):
		return true // nobody writes //job: in prose
	case !colon && (after == "" || !isSpace(after[0])):
		return false // jobless, jobs.SendInvoice
	case pair:
		return known || diag.Suggest(key, names(InJob)) != ""
	case colon:
		return trimmed == "" && strings.EqualFold(tool, "job") || known && (!several || form && strings.Contains(trimmed, "="))
	}
	return false
}
