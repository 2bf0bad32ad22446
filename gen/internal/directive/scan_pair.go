package directive

import (
	"strconv"
	"strings"
)

// pair reads the values after "key=".
func (s *scanner) pair(name string, start int) {
	k := s.lookup(name, start)
	var raw []Value
	for {
		v, ok := s.value(name, k)
		if !ok {
			return
		}
		raw = append(raw, v)
		if s.peek() != ',' {
			break
		}
		if k != nil && !k.List {
			s.extraValues(k, start)
			return
		}
		s.pos++
	}
	if k == nil {
		return
	}
	if k.Kind == Cron && s.unquotedCron(raw, start) {
		return
	}
	s.finish(k, raw, start, s.pos)
}

// value reads one value of a pair; false means that it reported a fault and
// skipped the item.
func (s *scanner) value(name string, k *Key) (Value, bool) {
	start := s.pos
	if c := s.peek(); c == '"' || c == '`' {
		text, ok := s.quoted()
		if !ok {
			return Value{}, false
		}
		if c := s.peek(); c != 0 && c != ',' && !isSpace(c) {
			s.skipWord()
			s.fail("JG006", start, s.pos, "nothing may follow the closing quote but a space or a comma")
			return Value{}, false
		}
		return Value{Text: text, Pos: start, End: s.pos}, true
	}
	text := s.word()
	end := s.pos
	switch c := s.peek(); {
	case text == "" && (c == 0 || c == ',' || isSpace(c)):
		s.skipWord()
		want := "a value"
		if k != nil {
			want = k.wants() + ", such as " + k.Example
		}
		s.fail("JG005", start, s.pos, "%s has an empty value: want %s", name, want)
		return Value{}, false
	case c == '=' && k != nil && k.List && Lookup(s.scope, text) != nil:
		s.commaBefore(start)
		return Value{}, false
	case c == '=':
		s.skipWord()
		p := s.fail("JG006", start, s.pos, "a value that contains = must be in quotes")
		p.Fix = &TextFix{"quote the value", start, s.pos, strconv.Quote(s.text[start:s.pos])}
		return Value{}, false
	case c == '"' || c == '`':
		s.skipWord()
		s.fail("JG006", start, s.pos, "put the whole value in quotes, not a part of it")
		return Value{}, false
	}
	return Value{Text: text, Pos: start, End: end}, true
}

// commaBefore reports tags=a,retry=3: the comma before the offset start
// should be a space.
func (s *scanner) commaBefore(start int) {
	s.skipWord()
	p := s.fail("JG006", start-1, s.pos, "settings are separated by spaces, not commas")
	p.Fix = &TextFix{"replace the comma by a space", start - 1, start, " "}
}

// extraValues reports a comma after the value of a key that takes one.
func (s *scanner) extraValues(k *Key, start int) {
	comma := s.pos
	s.pos++
	next := s.word()
	name, _, _ := strings.Cut(next, "=")
	if s.peek() == '=' && Lookup(InJob|InQueue, name) != nil || s.peek() != '=' && isFlag(s.scope, next) {
		s.skipWord()
		p := s.fail("JG006", comma, s.pos, "settings are separated by spaces, not commas")
		p.Fix = &TextFix{"replace the comma by a space", comma, comma + 1, " "}
		return
	}
	s.skipWord()
	s.fail("JG005", start, s.pos, "%s takes one value, not a list; put a value that contains a comma in quotes", k.Name)
}

func isFlag(scope Scope, name string) bool {
	k := Lookup(scope, name)
	return k != nil && (k.Kind == Flag || k.Kind == Bool)
}

// unquotedCron reports cron=0 2 1 * * as one fault.
func (s *scanner) unquotedCron(raw []Value, start int) bool {
	if c := s.text[raw[0].Pos]; c == '"' || c == '`' || strings.HasPrefix(raw[0].Text, "@") {
		return false
	}
	end := s.pos
	for {
		s.skipSpace()
		at := s.pos
		s.skipWord()
		if w := s.text[at:s.pos]; w == "" || Lookup(InJob, w) != nil || strings.ContainsAny(w, "=\"`") {
			s.pos = at
			break
		}
		end = s.pos
	}
	expr := s.text[raw[0].Pos:end]
	p := s.fail("JG005", start, end, "a cron expression has spaces and must be in quotes: cron=%q", expr)
	p.Fix = &TextFix{"quote the expression", raw[0].Pos, end, strconv.Quote(expr)}
	return true
}

// quoted reads a Go string literal.
func (s *scanner) quoted() (string, bool) {
	start := s.pos
	prefix, err := strconv.QuotedPrefix(s.text[s.pos:])
	if err != nil {
		s.pos = len(s.text)
		s.fail("JG006", start, s.pos, "the quoted text does not end, or has an escape that Go does not know")
		return "", false
	}
	s.pos += len(prefix)
	text, err := strconv.Unquote(prefix)
	if err != nil {
		s.fail("JG006", start, s.pos, "bad quoted text: %v", err)
		return "", false
	}
	return text, true
}
