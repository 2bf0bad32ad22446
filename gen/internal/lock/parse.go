package lock

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// Parse reads a lock. file is where it comes from, for positions. Facts may
// stand in any order, and a fact may stand twice, as merges leave them; line
// ends may be those of Windows. The lock is nil when there are diagnostics.
func Parse(file string, data []byte) (*Lock, []diag.Diagnostic) {
	p := &parser{lock: &Lock{File: file}, jobs: map[string]*Job{}, shapes: map[string]*shape{}}
	lines := strings.Split(string(bytes.TrimPrefix(data, []byte("\ufeff"))), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	if n := slices.IndexFunc(lines, conflictMark); n >= 0 {
		p.report(n+1, "JG085", "merge conflict: keep the lines of both sides, remove the marks, and run jobgen generate; facts that exclude each other are reported then")
		return nil, p.diags
	}
	header := slices.IndexFunc(lines, func(l string) bool { return l != "" && l[0] != '#' })
	if header < 0 || !strings.HasPrefix(lines[header], magic) {
		p.report(max(header, 0)+1, "JG087", fmt.Sprintf("this is no lock: it doesn't start with %q; take the last good one from your version control", strings.TrimSpace(magic)+" 1"))
		return nil, p.diags
	}
	switch n, err := strconv.Atoi(strings.TrimPrefix(lines[header], magic)); {
	case err != nil || n < 1:
		p.report(header+1, "JG087", fmt.Sprintf("%q names no format; the first line of a lock is %q", lines[header], magic+strconv.Itoa(Format)))
		return nil, p.diags
	case n > Format:
		p.report(header+1, "JG086", fmt.Sprintf("the lock has format %d, and this jobgen knows formats up to %d; a newer jobgen wrote it: update github.com/jobgen/jobgen in go.mod", n, Format))
		return nil, p.diags
	}
	for i, line := range lines[header+1:] {
		if line == "" || line[0] == '#' {
			continue
		}
		p.line, p.text = header+i+2, line
		p.fact(line)
	}
	p.finish()
	if len(p.diags) > 0 {
		return nil, diag.Sort(p.diags)
	}
	p.lock.sort()
	return p.lock, nil
}

// conflictMark recognises what version control leaves in a file that it
// couldn't merge.
func conflictMark(line string) bool {
	for _, mark := range []string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"} {
		if line == mark || strings.HasPrefix(line, mark+" ") {
			return true
		}
	}
	return false
}

type parser struct {
	lock   *Lock
	jobs   map[string]*Job
	order  []*Job
	shapes map[string]*shape // of each schema
	diags  []diag.Diagnostic

	line int
	text string
}

func (p *parser) report(line int, code, message string, notes ...diag.Note) {
	p.diags = append(p.diags, diag.Diagnostic{Code: code, Pos: p.pos(line), Message: message, Related: notes})
}

func (p *parser) pos(line int) model.Pos {
	return model.Pos{File: p.lock.File, Offset: line, Line: line, Column: 1}
}

// garbage reports the current line as unreadable.
func (p *parser) garbage(why string) {
	p.report(p.line, "JG087", fmt.Sprintf("%q is no fact of a lock (%s); take the line from your version control, or remove it and run jobgen generate", p.text, why))
}

// contradiction reports a fact that another excludes.
func (p *parser) contradiction(what string, other int) {
	var notes []diag.Note
	if other > 0 && other != p.line {
		notes = append(notes, diag.Note{Pos: p.pos(other), Message: "the other fact is here"})
	}
	p.report(p.line, "JG088", what+": two branches were merged that exclude each other; decide which one rows in the database follow and remove the other line", notes...)
}

// missing reports that a fact which the current line needs isn't there.
func (p *parser) missing(what string) {
	p.report(p.line, "JG088", what+": a merge lost the line; take it from one of the branches, or remove all lines of the job and run jobgen generate")
}

// fact reads one line: keyword, job, rest.
func (p *parser) fact(line string) {
	keyword, rest, _ := strings.Cut(line, " ")
	name, rest, _ := strings.Cut(rest, " ")
	if keyword == "out" {
		switch {
		case !word(name) || rest != "":
			p.garbage("want: out DIR")
		case p.lock.Out != "" && p.lock.Out != name:
			p.contradiction("the output directory is "+p.lock.Out+" and "+name, 0)
		}
		p.lock.Out = name
		return
	}
	if !slices.Contains(keywords, keyword) {
		p.garbage("unknown keyword " + strconv.Quote(keyword))
		return
	}
	if !word(name) || rest == "" {
		p.garbage("want: keyword, job, value")
		return
	}
	j := p.jobs[name]
	if j == nil {
		j = &Job{Name: name, Retry: -1, lines: map[string]int{}}
		p.jobs[name] = j
		p.order = append(p.order, j)
	}
	if j.lines["first"] == 0 {
		j.lines["first"] = p.line
	}
	if key := keyword + " " + rest; j.lines[key] == 0 {
		p.value(j, keyword, rest)
		j.lines[key] = p.line
	}
}

var keywords = []string{"job", "gone", "alias", "arg", "feeds", "old", "once", "on-failure", "parent", "queue", "res", "retry", "then"}

func (p *parser) value(j *Job, keyword, rest string) {
	switch keyword {
	case "job", "gone":
		n, err := strconv.Atoi(rest)
		switch gone := keyword == "gone"; {
		case err != nil || n < 1 || strconv.Itoa(n) != rest:
			p.garbage("want a version, from 1")
		case j.lines["job"] > 0 && j.Gone != gone:
			p.contradiction(j.Name+" is there and is gone", j.lines["job"])
		case j.lines["job"] > 0 && j.Version != n:
			p.contradiction(fmt.Sprintf("%s has version %d and version %d", j.Name, j.Version, n), j.lines["job"])
		default:
			j.Gone, j.Version, j.lines["job"] = gone, n, p.line
		}
	case "alias":
		p.word(rest, &j.Aliases)
	case "feeds":
		p.word(rest, &j.Feeds)
	case "then":
		p.word(rest, &j.Then)
	case "on-failure":
		p.word(rest, &j.OnFailure)
	case "arg":
		p.schema(j, keyword, &j.Args, rest)
	case "res":
		p.schema(j, keyword, &j.Result, rest)
	case "once":
		for path := range strings.SplitSeq(rest, ",") { // no JSON name holds a comma
			if _, err := splitPath(path); err != nil {
				p.garbage(err.Error())
				return
			}
		}
		if j.Once != "" {
			p.contradiction(fmt.Sprintf("the key of once of %s is %s and %s", j.Name, j.Once, rest), j.lines["once "+j.Once])
			return
		}
		j.Once = rest
	case "queue":
		if !word(rest) {
			p.garbage("want a queue")
		} else if j.Queue != "" && j.Queue != rest {
			p.contradiction(j.Name+" is in queue "+j.Queue+" and in "+rest, j.lines["queue "+j.Queue])
		} else {
			j.Queue = rest
		}
	case "retry":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 || strconv.Itoa(n) != rest {
			p.garbage("want a number of retries")
		} else if j.Retry >= 0 && j.Retry != n {
			p.contradiction(fmt.Sprintf("%s is retried %d times and %d times", j.Name, j.Retry, n), j.lines["retry "+strconv.Itoa(j.Retry)])
		} else {
			j.Retry = n
		}
	case "old":
		version, line, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(version)
		if err != nil || n < 1 || strconv.Itoa(n) != version || line == "" {
			p.garbage("want a version, a path and a kind")
			return
		}
		i := slices.IndexFunc(j.Old, func(o Old) bool { return o.Version == n })
		if i < 0 {
			i = len(j.Old)
			j.Old = append(j.Old, Old{Version: n})
		}
		p.schema(j, keyword+" "+version, &j.Old[i].Lines, line)
	case "parent":
		p.parent(j, rest)
	}
}

// maxParents bounds the slots that a line may name.
const maxParents = 1000

func (p *parser) parent(j *Job, rest string) {
	slot, rest, _ := strings.Cut(rest, " ")
	form, line, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(slot)
	if err != nil || n < 0 || n >= maxParents || strconv.Itoa(n) != slot || line == "" {
		p.garbage("want a slot, a form, a path and a kind")
		return
	}
	if !slices.Contains([]string{FormValue, FormOutcome, FormValues, FormOutcomes, FormFailure}, form) {
		p.garbage("unknown form " + strconv.Quote(form))
		return
	}
	for len(j.Parents) <= n {
		j.Parents = append(j.Parents, Parent{})
	}
	if had := j.Parents[n].Form; had != "" && had != form {
		p.contradiction(fmt.Sprintf("parent %d of %s is taken as %s and as %s", n, j.Name, had, form), 0)
		return
	}
	j.Parents[n].Form = form
	p.schema(j, "parent "+slot, &j.Parents[n].Lines, line)
}

// The forms of parents.
const (
	FormValue    = "value"
	FormOutcome  = "outcome"
	FormValues   = "values"
	FormOutcomes = "outcomes"
	FormFailure  = "failure"
)

func (p *parser) word(text string, to *[]string) {
	if !word(text) {
		p.garbage("want a name")
		return
	}
	*to = append(*to, text)
}

// schema adds a line to a wire schema of a job, which what tells from its
// others.
func (p *parser) schema(j *Job, what string, to *[]string, line string) {
	if line == none {
		return
	}
	key := what + " " + j.Name
	if p.shapes[key] == nil {
		p.shapes[key] = &shape{}
	}
	var two contradiction
	switch err := p.shapes[key].add(line); {
	case errors.As(err, &two):
		p.contradiction(j.Name+": "+err.Error(), 0)
	case err != nil:
		p.garbage(err.Error())
	default:
		*to = append(*to, line)
	}
}

// finish checks what needs the whole file.
func (p *parser) finish() {
	if len(p.diags) > 0 {
		return // what is missing may be what could not be read
	}
	for _, j := range p.order {
		p.line = j.lines["first"]
		if j.lines["job"] == 0 {
			p.missing("no line says that " + j.Name + " is a job, or gone")
			continue
		}
		if i := slices.IndexFunc(j.Parents, func(p Parent) bool { return p.Form == "" }); i >= 0 {
			p.missing(fmt.Sprintf("no line says what parent %d of %s is", i, j.Name))
		}
		for i := range j.Parents {
			slices.Sort(j.Parents[i].Lines)
		}
		for i := range j.Old {
			slices.Sort(j.Old[i].Lines)
			if !j.Gone && j.Old[i].Version >= j.Version {
				p.contradiction(fmt.Sprintf("%s has version %d, and version %d counts as earlier", j.Name, j.Version, j.Old[i].Version), j.lines["job"])
			}
		}
		if !j.Gone && j.Queue == "" {
			p.missing("no line says which queue " + j.Name + " is in")
		}
		p.lock.Jobs = append(p.lock.Jobs, j)
	}
	for _, j := range p.order {
		for _, a := range j.Aliases {
			p.line = j.lines["alias "+a]
			if other := p.jobs[a]; other != nil && !other.Gone {
				p.contradiction(a+" is a job and an alias of "+j.Name, other.lines["job"])
			}
			for _, other := range p.order {
				if other != j && slices.Contains(other.Aliases, a) && other.lines["alias "+a] < p.line {
					p.contradiction(a+" is an alias of "+other.Name+" and of "+j.Name, other.lines["alias "+a])
				}
			}
		}
	}
}

// word reports whether text is a name without spaces and control characters.
func word(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\ufffd' })
}
