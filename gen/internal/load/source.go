package load

import (
	"go/ast"
	"go/token"
	"go/types"

	"golang.org/x/tools/go/packages"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/directive"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// Source is a module's annotations with the types of the functions they stand
// at. It is only read once Load has returned it.
type Source struct {
	ModuleDir  string // absolute
	ModulePath string
	Fset       *token.FileSet

	Packages  []*Package // with annotations, by import path
	Queues    []*Queue   // in the order of their positions
	Defaults  []*Defaults
	Annotated int      // annotated functions read, selected or not
	Tests     []string // test files with annotations, which are ignored

	units map[string]*unit // by package id
}

// Package is a package with annotations.
type Package struct {
	Path, Name string
	Dir        string
	Funcs      []*Func // annotated, in source order

	unit *unit
}

// Func is an annotated function or method.
type Func struct {
	Package  *Package
	Decl     *ast.FuncDecl
	Object   *types.Func // nil when its declaration could not be type-checked
	Settings []Setting   // of all its //job: lines, in order; duplicates have been reported and removed
	Pos      model.Pos   // of the name
	At       model.Pos   // of the first annotation line

	// Schedules are its //job:schedule lines, in order.
	Schedules []Schedule

	// Constraint is the build constraint or file name suffix that keeps the
	// function out of some builds, or "".
	Constraint string
	// Clash is the position of a type of the same name, if there is one.
	Clash model.Pos

	// Faulty says that some of its settings could not be read.
	Faulty bool

	file     *file
	verify   *Function
	upgrades []*Function
}

// Setting is one item of an annotation line.
type Setting struct {
	directive.Item
	Pos, End model.Pos
	start    model.Pos // of the comment, which Item's offsets count from
}

// Schedule is a //job:schedule line.
type Schedule struct {
	Settings []Setting
	Pos      model.Pos
}

// ValuePos returns the position of the i-th value.
func (s *Setting) ValuePos(i int) model.Pos { return diag.ShiftColumns(s.start, s.Values[i].Pos) }

// ValueEnd returns the end of the i-th value.
func (s *Setting) ValueEnd(i int) model.Pos { return diag.ShiftColumns(s.start, s.Values[i].End) }

// ValueFix proposes to write text instead of the i-th value.
func (s *Setting) ValueFix(i int, text string) []diag.Fix {
	v := s.Values[i]
	return []diag.Fix{{Message: "write " + text, Edits: []diag.Edit{{
		File: s.start.File, Start: s.start.Offset + v.Pos, End: s.start.Offset + v.End, New: text}}}}
}

// Queue is a //jobqueue: line.
type Queue struct {
	Name     string
	Settings []Setting
	Pos      model.Pos
}

// Defaults are the settings of the //job:defaults lines of one comment.
type Defaults struct {
	Package  string // import path that they hold for; "" for the whole module
	Settings []Setting
}

// Pos converts a position, ignoring //line comments.
func (s *Source) Pos(p token.Pos) model.Pos {
	if !p.IsValid() {
		return model.Pos{}
	}
	q := s.Fset.PositionFor(p, false)
	return model.Pos{File: q.Filename, Offset: q.Offset, Line: q.Line, Column: q.Column}
}

// Lookup returns the package-level object called name in the handler package
// p, or in the package that file imports under qualifier when that isn't "".
// It finds what Load was told to resolve: types of signatures and the values
// of permanent=.
func (s *Source) Lookup(f *Func, qualifier, name string) types.Object {
	u := f.Package.unit
	if qualifier != "" {
		meta := f.file.imported(u, qualifier)
		if meta == nil || s.units[meta.ID] == nil {
			return nil
		}
		u = s.units[meta.ID]
	}
	if u.types == nil {
		return nil
	}
	return u.types.Scope().Lookup(name)
}

// Declares reports whether the handler package of f, or the receiver type of
// f, declares a function of that name. Type.Method names a method of another
// type of the package.
func (s *Source) Declares(f *Func, name string) bool { return f.find(name) != nil }

// FuncNames lists the functions that Declares would find.
func (s *Source) FuncNames(f *Func) []string {
	var names []string
	for name, d := range f.Package.unit.decls {
		if d.fn != nil {
			names = append(names, name)
		}
	}
	for _, m := range f.Package.unit.methods[f.Package.unit.base(receiverName(f.Decl))] {
		names = append(names, m.fn.Name.Name)
	}
	return names
}

// VarNames lists the package-level variables and types of the handler package,
// for did-you-mean.
func (s *Source) VarNames(f *Func) []string {
	var names []string
	for name, d := range f.Package.unit.decls {
		if d.fn == nil {
			names = append(names, name)
		}
	}
	return names
}

// ImportChain returns the packages on a shortest way of imports from one
// package to another, both included, or nil. The second result is the place of
// the first import.
func (s *Source) ImportChain(from, to string) ([]string, model.Pos) {
	var start *packages.Package
	for _, u := range s.units {
		if u.meta.PkgPath == from {
			start = u.meta
		}
	}
	if start == nil {
		return nil, model.Pos{}
	}
	type step struct {
		p    *packages.Package
		path []string
	}
	seen := map[string]bool{start.ID: true}
	queue := []step{{start, []string{from}}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, name := range sortedKeys(at.p.Imports) {
			imp := at.p.Imports[name]
			path := append(at.path[:len(at.path):len(at.path)], imp.PkgPath)
			if imp.PkgPath == to || name == to {
				return path, s.importPos(start, path[1])
			}
			if !seen[imp.ID] {
				seen[imp.ID] = true
				queue = append(queue, step{imp, path})
			}
		}
	}
	return nil, model.Pos{}
}

func (s *Source) importPos(p *packages.Package, path string) model.Pos {
	for _, f := range s.units[p.ID].files {
		for _, spec := range f.ast.Imports {
			if importPath(spec) == path {
				return s.Pos(spec.Path.Pos())
			}
		}
	}
	return model.Pos{}
}
