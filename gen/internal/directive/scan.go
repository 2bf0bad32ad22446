package directive

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jobgen/jobgen/gen/internal/diag"
)

// Line is one annotation line that was understood, as far as it was.
type Line struct {
	Class Class  // Job, Schedule, Defaults or Queue
	Queue string // Class Queue: the name
	Items []Item // in the order written; faulty items are left out
}

// Item is one setting of a Line.
type Item struct {
	Key      *Key
	Values   []Value // empty for a flag
	Pos, End int     // byte offsets in the comment's text
}

// Value is one value of an Item.
type Value struct {
	Text     string        // canonical
	Int      int64         // kind Int
	Duration time.Duration // kind Duration
	Pos, End int           // byte offsets in the comment's text, quotes included
}

// Text returns the item's value in canonical form: list values joined with
// ",", "true" for a flag.
func (it Item) Text() string {
	if len(it.Values) == 0 {
		return "true"
	}
	ts := make([]string, len(it.Values))
	for i, v := range it.Values {
		ts[i] = v.Text
	}
	return strings.Join(ts, ",")
}

// Problem is a fault in an annotation line.
type Problem struct {
	Code     string
	Message  string
	Pos, End int // byte offsets in the comment's text
	Fix      *TextFix
}

// TextFix replaces part of the comment's text.
type TextFix struct {
	Message  string
	Pos, End int
	New      string
}

// Scan reads the text of a comment that Classify calls Job, Schedule, Defaults
// or Queue.
// It goes on after a fault, so that all faults of a line come back at once.
func Scan(text string) (Line, []Problem) {
	s := &scanner{text: text}
	switch s.line.Class = Classify(text); s.line.Class {
	case Job:
		s.scope, s.pos = InJob, len(jobPrefix)
	case Defaults:
		s.scope, s.pos = InDefaults, len(jobPrefix)+len("defaults")
	case Schedule:
		s.scope, s.pos = InSchedule, len(jobPrefix)+len("schedule")
	case Queue:
		s.scope, s.pos = InQueue, len(queuePrefix)
		s.queueName()
	default:
		return s.line, nil
	}
	for s.skipSpace(); s.pos < len(s.text); s.skipSpace() {
		s.item()
	}
	return s.line, s.problems
}

type scanner struct {
	text     string
	pos      int
	scope    Scope
	line     Line
	problems []Problem
}

func (s *scanner) fail(code string, pos, end int, format string, args ...any) *Problem {
	s.problems = append(s.problems, Problem{Code: code, Message: fmt.Sprintf(format, args...), Pos: pos, End: end})
	return &s.problems[len(s.problems)-1]
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.text) && isSpace(s.text[s.pos]) {
		s.pos++
	}
}

// skipWord moves to the next space, which is where scanning goes on after a
// fault.
func (s *scanner) skipWord() {
	for s.pos < len(s.text) && !isSpace(s.text[s.pos]) {
		s.pos++
	}
}

// peek returns the byte at pos, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) queueName() {
	start := s.pos
	s.skipWord()
	s.line.Queue = s.text[start:s.pos]
	if msg := checkWord(s.line.Queue, false); msg != "" {
		s.fail("JG005", start, s.pos, "bad queue name %q: %s", s.line.Queue, msg)
	}
}

// item reads one flag, pair or quoted item.
func (s *scanner) item() {
	start := s.pos
	if c := s.peek(); c == '"' || c == '`' {
		s.quotedItem()
		return
	}
	if strings.HasPrefix(s.text[s.pos:], "//") {
		p := s.fail("JG006", start, len(s.text), "an annotation line takes no comment at its end; put it on a line of its own")
		p.Fix = &TextFix{"remove the comment", start, len(s.text), ""}
		s.pos = len(s.text)
		return
	}
	name := s.word()
	switch c := s.peek(); {
	case name == "" && c == '=':
		if s.skipWord(); s.pos == start+1 {
			s.skipSpace() // the value is part of the fault
			s.skipWord()
		}
		s.fail("JG006", start, s.pos, "no spaces around =: write key=value")
		return
	case name == "" || c == ',' || c == '"' || c == '`':
		s.skipWord()
		if c == ',' {
			p := s.fail("JG006", start, s.pos, "settings are separated by spaces, not commas")
			p.Fix = &TextFix{"replace commas by spaces", start, s.pos, strings.ReplaceAll(s.text[start:s.pos], ",", " ")}
		} else {
			s.fail("JG006", start, s.pos, "write key=value, with the whole value in quotes")
		}
		return
	case c == '=':
		s.pos++
		s.pair(name, start)
		return
	}
	if before, after, ok := strings.Cut(name, ":"); ok && Lookup(InJob|InQueue, before) != nil {
		p := s.fail("JG006", start, s.pos, "write %s=%s, with = between key and value", before, after)
		p.Fix = &TextFix{"write =", start, s.pos, before + "=" + after}
		return
	}
	if k := s.lookup(name, start); k != nil {
		if k.Kind == Flag || k.Kind == Bool || k.Bare {
			s.add(Item{Key: k, Pos: start, End: s.pos})
			return
		}
		end := s.pos
		s.skipSpace()
		if s.peek() == '=' {
			s.pos++
			s.skipSpace()
			s.skipWord()
			s.fail("JG006", start, s.pos, "no spaces around =: write %s=value", name)
			return
		}
		s.fail("JG005", start, end, "%s needs a value: %s, such as %s", name, k.wants(), k.Example)
	}
}

// word reads up to a space or one of  =  ,  "  and the back quote.
func (s *scanner) word() string {
	start := s.pos
	for s.pos < len(s.text) {
		r, n := utf8.DecodeRuneInString(s.text[s.pos:])
		if strings.ContainsRune("=,\"`", r) || unicode.IsSpace(r) {
			break
		}
		s.pos += n
	}
	return s.text[start:s.pos]
}

// quotedItem reads "key=value" in quotes, the spelling of Go's own directive
// arguments.
func (s *scanner) quotedItem() {
	start := s.pos
	text, ok := s.quoted()
	if !ok {
		return
	}
	if c := s.peek(); c != 0 && !isSpace(c) {
		s.skipWord()
		s.fail("JG006", start, s.pos, "nothing may follow the closing quote but a space")
		return
	}
	name, value, pair := strings.Cut(text, "=")
	k := s.lookup(name, start)
	if k == nil {
		return
	}
	if !pair {
		if k.Kind == Flag || k.Kind == Bool || k.Bare {
			s.add(Item{Key: k, Pos: start, End: s.pos})
		} else {
			s.fail("JG005", start, s.pos, "%s needs a value: %s, such as %s", name, k.wants(), k.Example)
		}
		return
	}
	parts := []string{value}
	if k.List {
		parts = strings.Split(value, ",")
	}
	var raw []Value
	for _, p := range parts {
		raw = append(raw, Value{Text: p, Pos: start, End: s.pos})
	}
	s.finish(k, raw, start, s.pos)
}

// lookup returns the key called name, or reports why there is none.
func (s *scanner) lookup(name string, start int) *Key {
	if k := Lookup(s.scope, name); k != nil {
		return k
	}
	end := min(start+len(name), s.pos) // quoted items may decode to more bytes than they have
	where := map[Scope]string{InJob: "//job:", InDefaults: "//job:defaults", InQueue: "//jobqueue:", InSchedule: "//job:schedule"}[s.scope]
	switch {
	case s.scope == InQueue && Lookup(InJob, name) != nil:
		s.fail("JG003", start, end, "%q is a setting of //job:, not of //jobqueue:", name)
	case s.scope == InSchedule && Lookup(InJob, name) != nil:
		s.fail("JG003", start, end, "%q is a setting of the job, which //job: holds, not of one of its schedules", name)
	case s.scope == InDefaults && Lookup(InJob, name) != nil:
		s.fail("JG003", start, end, "%q belongs to one job and can't be a default", name)
	case s.scope != InQueue && s.scope != InSchedule && Lookup(InQueue, name) != nil:
		s.fail("JG003", start, end, "%q is a setting of //jobqueue:, not of %s", name, where)
	default:
		all := names(s.scope)
		if near := diag.Suggest(name, all); near != "" {
			p := s.fail("JG003", start, end, "unknown setting %q; did you mean %q?", name, near)
			if s.text[start] != '"' && s.text[start] != '`' {
				p.Fix = &TextFix{"write " + near, start, end, near}
			}
			return nil
		}
		s.fail("JG003", start, end, "unknown setting %q; %s knows: %s", name, where, strings.Join(all, " "))
	}
	return nil
}

// finish checks the values and adds the item.
func (s *scanner) finish(k *Key, raw []Value, start, end int) {
	if k.Kind == Flag {
		s.fail("JG005", start, end, "%s takes no value", k.Name)
		return
	}
	ok := true
	for i := range raw {
		if msg := k.parse(&raw[i], len(raw)); msg != "" {
			s.fail("JG005", raw[i].Pos, raw[i].End, "bad value %q for %s: %s", raw[i].Text, k.Name, msg)
			ok = false
		}
		for j := range i {
			if ok && raw[i].Text == raw[j].Text && k.Kind != Duration {
				s.fail("JG005", raw[i].Pos, raw[i].End, "%q stands twice in %s", raw[i].Text, k.Name)
				ok = false
			}
		}
	}
	if ok {
		s.add(Item{Key: k, Values: raw, Pos: start, End: end})
	}
}

func (s *scanner) add(it Item) { s.line.Items = append(s.line.Items, it) }
