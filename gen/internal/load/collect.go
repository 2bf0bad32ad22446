package load

import (
	"go/ast"
	"go/token"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/directive"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// collector attaches the annotations of files to what they stand at and
// reports those that stand nowhere useful.
type collector struct {
	src      *Source
	defaults map[string]*merger // by import path; "" for the module
	diags    []diag.Diagnostic
}

// file reads the comments of one file with annotations. p is nil for a file
// that the go command leaves out of its package.
func (c *collector) file(f *file, p *Package, constraint string) {
	docs := map[*ast.CommentGroup]ast.Decl{}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			docs[d.Doc] = d
		case *ast.GenDecl:
			docs[d.Doc] = d
		}
	}
	delete(docs, nil)

	before := len(c.diags)
	lost := false
	for _, g := range f.ast.Comments {
		at := place{group: g, decl: docs[g], packageDoc: g == f.ast.Doc, generate: runsJobgen(g)}
		at.inside = enclosing(f.ast, g)
		lost = c.group(f, p, constraint, at) || lost
	}
	if errs := c.syntaxErrors(f, lost); len(errs) > 0 {
		// Without its braces in order a file seems to have annotations in odd
		// places; only the cause is worth reading.
		c.diags = append(c.diags[:before], errs...)
	}
}

// place is where a comment group stands.
type place struct {
	group      *ast.CommentGroup
	decl       ast.Decl // whose doc comment it is, or nil
	inside     ast.Decl // that it stands in, or nil
	packageDoc bool
	generate   bool // the group holds a //go:generate line that runs jobgen
}

// group reads one comment group and reports whether it holds an annotation of
// a job that no function has.
func (c *collector) group(f *file, p *Package, constraint string, at place) (lost bool) {
	fn, _ := at.decl.(*ast.FuncDecl)
	var settings merger
	var schedules []Schedule
	var first *ast.Comment
	faulty := false
	for _, cm := range at.group.List {
		class := directive.Classify(cm.Text)
		switch {
		case class == directive.None:
		case class == directive.Miss:
			if at.inside == nil && (at.decl == nil || fn != nil || at.generate) {
				miss, _ := directive.NearMiss(cm.Text)
				c.problem(cm, miss)
			}
		case class == directive.Job && fn != nil:
			if first == nil {
				first = cm
			}
			before := len(c.diags)
			c.scan(cm, &settings)
			faulty = faulty || len(c.diags) > before
		case class == directive.Schedule && fn != nil:
			if first == nil {
				first = cm
			}
			before := len(c.diags)
			var m merger
			c.scan(cm, &m)
			schedules = append(schedules, Schedule{m.settings, c.src.Pos(cm.Slash)})
			faulty = faulty || len(c.diags) > before
		case class == directive.Job, class == directive.Schedule:
			c.misplacedJob(f, at, cm)
			lost = true
		case class == directive.Defaults && (at.generate || at.packageDoc):
			scope := ""
			if !at.generate && p != nil {
				scope = p.Path
			}
			if c.defaults[scope] == nil {
				c.defaults[scope] = &merger{}
			}
			c.scan(cm, c.defaults[scope])
		case class == directive.Defaults:
			c.report(cm, "JG002", "//job:defaults belongs in the package comment, or beside the //go:generate line that runs jobgen for the whole module")
		case class == directive.Queue && at.inside == nil && (at.decl == nil || at.generate || isImport(at.decl)):
			var m merger
			line := c.scan(cm, &m)
			c.src.Queues = append(c.src.Queues, &Queue{Name: line.Queue, Settings: m.settings, Pos: c.src.Pos(cm.Slash)})
		default:
			c.report(cm, "JG002", "//jobqueue: belongs in the package comment or alone between declarations, not at a declaration")
		}
	}
	if first == nil {
		return lost
	}
	if p == nil {
		return lost
	}
	h := &Func{
		Package: p, Decl: fn, Settings: settings.settings, Schedules: schedules, Constraint: constraint, Faulty: faulty, file: f,
		Pos: c.src.Pos(fn.Name.Pos()), At: c.src.Pos(first.Slash),
	}
	if d := p.unit.decls[fn.Name.Name]; fn.Recv == nil && d != nil && d.fn == nil {
		h.Clash = c.src.Pos(d.pos(fn.Name.Name))
	}
	p.Funcs = append(p.Funcs, h)
	p.unit.handlers[fn] = true
	return lost
}

// pos returns the position of a name that d declares.
func (d *decl) pos(name string) token.Pos {
	switch s := d.spec.(type) {
	case *ast.TypeSpec:
		return s.Name.Pos()
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.Name == name {
				return n.Pos()
			}
		}
	}
	return d.fn.Name.Pos()
}

// scan reads one annotation line into m.
func (c *collector) scan(cm *ast.Comment, m *merger) directive.Line {
	line, problems := directive.Scan(cm.Text)
	for _, p := range problems {
		c.problem(cm, p)
	}
	start := c.src.Pos(cm.Slash)
	for _, it := range line.Items {
		c.diags = append(c.diags, m.add(Setting{
			Item: it, start: start, Pos: diag.ShiftColumns(start, it.Pos), End: diag.ShiftColumns(start, it.End),
		})...)
	}
	return line
}

// merger joins the settings of several lines.
type merger struct {
	settings []Setting
	first    map[string]model.Pos
}

func (m *merger) add(s Setting) []diag.Diagnostic {
	if m.first == nil {
		m.first = map[string]model.Pos{}
	}
	if at, twice := m.first[s.Key.Name]; twice {
		return []diag.Diagnostic{{
			Code: "JG004", Pos: s.Pos, End: s.End, Message: s.Key.Name + " is set twice",
			Related: []diag.Note{{Pos: at, Message: "first set here"}},
		}}
	}
	m.first[s.Key.Name] = s.Pos
	m.settings = append(m.settings, s)
	return nil
}

func (c *collector) misplacedJob(f *file, at place, cm *ast.Comment) {
	switch in := at.inside.(type) {
	case *ast.FuncDecl:
		c.report(cm, "JG002", "//job: inside "+in.Name.Name+" does nothing; move it into the comment above a function")
		return
	case *ast.GenDecl:
		c.report(cm, "JG002", "//job: inside a "+in.Tok.String()+" declaration does nothing; jobs are functions and methods")
		return
	}
	if g, ok := at.decl.(*ast.GenDecl); ok {
		c.report(cm, "JG002", "//job: stands at a "+g.Tok.String()+" declaration; jobs are functions and methods")
		return
	}
	if at.packageDoc {
		c.report(cm, "JG002", "//job: stands at the package clause; settings for the whole package are written //job:defaults")
		return
	}
	next := nextDecl(f.ast, at.group)
	fn, ok := next.(*ast.FuncDecl)
	switch {
	case !ok:
		c.report(cm, "JG002", "//job: is not attached to a function")
	case fn.Doc != nil:
		c.report(cm, "JG002", "//job: is not attached to "+fn.Name.Name+"; move it to the end of the function's comment")
	default:
		d := c.report(cm, "JG002", "//job: is not attached to "+fn.Name.Name+"; remove the blank line between them")
		from, to := c.src.Pos(at.group.End()), c.src.Pos(fn.Pos())
		d.Fixes = []diag.Fix{{Message: "remove the blank line", Edits: []diag.Edit{{File: from.File, Start: from.Offset, End: to.Offset, New: "\n"}}}}
	}
}

func (c *collector) report(cm *ast.Comment, code, message string) *diag.Diagnostic {
	c.diags = append(c.diags, diag.Diagnostic{Code: code, Pos: c.src.Pos(cm.Slash), End: c.src.Pos(cm.End()), Message: message})
	return &c.diags[len(c.diags)-1]
}

// problem reports a fault that package directive found in a comment.
func (c *collector) problem(cm *ast.Comment, p directive.Problem) {
	start := c.src.Pos(cm.Slash)
	d := diag.Diagnostic{Code: p.Code, Pos: diag.ShiftColumns(start, p.Pos), End: diag.ShiftColumns(start, p.End), Message: p.Message}
	if strings.Contains(cm.Text[:p.End], "\n") {
		d.End = d.Pos
	}
	if p.Fix != nil {
		d.Fixes = []diag.Fix{{Message: p.Fix.Message, Edits: []diag.Edit{{
			File: start.File, Start: start.Offset + p.Fix.Pos, End: start.Offset + p.Fix.End, New: p.Fix.New}}}}
	}
	c.diags = append(c.diags, d)
}

// enclosing returns the declaration that a comment group stands in, or nil.
func enclosing(tree *ast.File, g *ast.CommentGroup) ast.Decl {
	for _, d := range tree.Decls {
		if d.Pos() < g.Pos() && g.End() <= d.End() {
			return d
		}
	}
	return nil
}

// nextDecl returns the first declaration after a comment group, or nil.
func nextDecl(tree *ast.File, g *ast.CommentGroup) ast.Decl {
	for _, d := range tree.Decls {
		if d.Pos() > g.End() {
			return d
		}
	}
	return nil
}

func isImport(d ast.Decl) bool {
	g, ok := d.(*ast.GenDecl)
	return ok && g.Tok == token.IMPORT
}

// runsJobgen reports whether a comment group holds the //go:generate line that
// runs jobgen.
func runsJobgen(g *ast.CommentGroup) bool {
	for _, cm := range g.List {
		if strings.HasPrefix(cm.Text, "//go:generate ") && strings.Contains(cm.Text, "jobgen") {
			return true
		}
	}
	return false
}
