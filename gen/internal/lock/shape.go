package lock

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// shape is a wire schema as a tree.
type shape struct {
	sort sort
	kind string // leaf: the wire kind
	null bool   // leaf, object: may be null

	elem   *shape            // list, array, map
	length string            // array
	key    string            // map: kind of the keys
	fields map[string]*shape // object, by name as it stands in paths
}

type sort int

const (
	unknown sort = iota
	leaf
	object
	list
	array
	dict
)

// kinds of leaves that Parse takes, those of package model that have no parts.
var kinds = []string{
	"bool", "int", "int8", "int16", "int32", "int64",
	"uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64",
	"string", "bytes", "time", "duration", "raw", "json", "text", "struct",
}

// contradiction is the error of a path that has two kinds.
type contradiction string

func (c contradiction) Error() string { return string(c) }

// shapeOf builds the tree of a schema. No lines are an object without fields.
// It fails with a contradiction, or for a line that can't be read.
func shapeOf(lines []string) (*shape, error) {
	root := &shape{}
	for _, line := range lines {
		if err := root.add(line); err != nil {
			return nil, err
		}
	}
	if root.sort == unknown {
		root.sort, root.fields = object, map[string]*shape{}
	}
	return root, nil
}

// mustShape is shapeOf for lines that were checked when they were read.
func mustShape(lines []string) *shape {
	s, err := shapeOf(lines)
	if err != nil {
		return &shape{sort: leaf, kind: "invalid"}
	}
	return s
}

// add adds one line, such as ".lines[].qty int64".
func (s *shape) add(line string) error {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return fmt.Errorf("%q is no path and kind", line)
	}
	path, kind := line[:i], line[i+1:]
	steps, err := splitPath(path)
	if err != nil {
		return err
	}
	kind, null := strings.CutSuffix(kind, "?")
	if !slices.Contains(kinds, kind) {
		return fmt.Errorf("unknown kind %q", kind)
	}
	at := s
	for _, step := range steps {
		if at, err = at.step(step); err != nil {
			return contradiction(path + ": " + err.Error())
		}
	}
	want := leaf
	if kind == "struct" {
		want, kind = object, ""
	}
	if at.sort != unknown && (at.sort != want || at.kind != kind) {
		return contradiction(fmt.Sprintf("%s is %s and %s", path, at, &shape{sort: want, kind: kind}))
	}
	if at.sort == leaf && at.null != null {
		return contradiction(path + " may be null, and may not")
	}
	at.sort, at.kind, at.null = want, kind, at.null || null
	if want == object && at.fields == nil {
		at.fields = map[string]*shape{}
	}
	return nil
}

// step goes down by one step of a path.
func (s *shape) step(step string) (*shape, error) {
	want := shape{sort: object}
	switch {
	case step == "[]":
		want = shape{sort: list}
	case step[0] == '[':
		want = shape{sort: array, length: step[1 : len(step)-1]}
	case step[0] == '{':
		want = shape{sort: dict, key: step[1 : len(step)-1]}
	}
	if s.sort == unknown {
		null := s.null
		*s = want
		s.null = null
	}
	if s.sort != want.sort || s.length != want.length || s.key != want.key {
		return nil, fmt.Errorf("what stands before %s is %s too", step, s)
	}
	if want.sort != object {
		if s.elem == nil {
			s.elem = &shape{}
		}
		return s.elem, nil
	}
	if s.fields == nil {
		s.fields = map[string]*shape{}
	}
	name := step[1:]
	if s.fields[name] == nil {
		s.fields[name] = &shape{}
	}
	return s.fields[name], nil
}

// splitPath splits a path into ".name", "[]", "[4]" and "{string}". The path
// of the root is ".".
func splitPath(path string) ([]string, error) {
	if path == none {
		return nil, nil
	}
	if path == "" {
		return nil, errors.New("empty path")
	}
	var steps []string
	for rest := path; rest != ""; {
		n := 0
		switch rest[0] {
		case '.':
			n = nameEnd(rest)
			if n == 1 {
				return nil, fmt.Errorf("path %s lacks a name", path)
			}
		case '[', '{':
			end := strings.IndexByte(rest, rest[0]+2) // ] and } follow two after [ and {
			if end < 0 {
				return nil, fmt.Errorf("path %s lacks a bracket", path)
			}
			inside := rest[1:end]
			if _, err := strconv.ParseUint(inside, 10, 63); rest[0] == '[' && inside != "" && err != nil {
				return nil, fmt.Errorf("path %s has a bad length", path)
			}
			if rest[0] == '{' && !slices.Contains(kinds, inside) {
				return nil, fmt.Errorf("path %s has a bad key", path)
			}
			n = end + 1
		}
		if n == 0 {
			return nil, fmt.Errorf("path %s can't be read at %q", path, rest)
		}
		steps = append(steps, rest[:n])
		rest = rest[n:]
	}
	return steps, nil
}

// nameEnd returns the end of the ".name" that path starts with.
func nameEnd(path string) int {
	if strings.HasPrefix(path[1:], `"`) {
		quoted, err := strconv.QuotedPrefix(path[1:])
		if err != nil {
			return 1
		}
		return 1 + len(quoted)
	}
	if end := strings.IndexAny(path[1:], `.[]{} ?"`); end >= 0 {
		return 1 + end
	}
	return len(path)
}

// String describes the shape for people.
func (s *shape) String() string {
	switch s.sort {
	case object:
		return "an object"
	case list:
		return "a list of " + s.elem.String()
	case array:
		return "an array of " + s.length + " " + s.elem.String()
	case dict:
		return "a map from " + s.key + " to " + s.elem.String()
	}
	return s.kind
}

// equal compares two shapes; null or not doesn't matter.
func (s *shape) equal(t *shape) bool {
	if s.sort != t.sort || s.kind != t.kind || s.length != t.length || s.key != t.key || (s.elem == nil) != (t.elem == nil) {
		return false
	}
	if s.elem != nil && !s.elem.equal(t.elem) {
		return false
	}
	return maps.EqualFunc(s.fields, t.fields, func(a, b *shape) bool { return a.equal(b) })
}
