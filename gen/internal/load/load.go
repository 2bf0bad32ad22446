package load

import (
	"context"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/tools/go/packages"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// Config says what to load.
type Config struct {
	Dir string // any directory of the module; patterns are relative to it
	// Patterns select packages by directory ("./jobs", "./jobs/...") or import
	// path; none means "./...". Queues and the module's defaults are also read
	// from other packages below Dir and above it, but not beside it: there may
	// be another service.
	Patterns []string
	// Timing, if not nil, is told how long each phase took.
	Timing func(phase string, d time.Duration)
}

// Load reads the annotations of a module. Faults of the user's code come back
// as diagnostics beside a Source that holds what could be understood; the
// error is for what keeps the module from being read at all.
func Load(ctx context.Context, cfg Config) (*Source, []diag.Diagnostic, error) {
	clock := stopwatch(cfg.Timing)
	root, path, err := FindModule(cfg.Dir)
	if err != nil {
		return nil, nil, err
	}
	selected, err := matcher(cfg.Dir, root, path, cfg.Patterns)
	if err != nil {
		return nil, nil, err
	}
	src := &Source{ModuleDir: root, ModulePath: path, Fset: token.NewFileSet(), units: map[string]*unit{}}
	hits, tests, err := grep(root)
	if err != nil {
		return nil, nil, err
	}
	near, err := scope(cfg.Dir, selected)
	if err != nil {
		return nil, nil, err
	}
	hits = slices.DeleteFunc(hits, func(h hit) bool { return !near(filepath.Dir(h.path)) })
	src.Tests = slices.DeleteFunc(tests, func(name string) bool { return !near(filepath.Dir(name)) })
	clock("grep")
	if len(hits) == 0 {
		return src, nil, nil
	}

	byFile := map[string][]byte{}
	byDir := map[string]bool{}
	for _, h := range hits {
		byFile[h.path] = h.data
		byDir[filepath.Dir(h.path)] = true
	}
	metas, err := metadata(ctx, root, slices.Sorted(maps.Keys(byDir)))
	if err != nil {
		return nil, nil, err
	}
	clock("list")

	c := &collector{src: src, defaults: map[string]*merger{}}
	for _, meta := range metas {
		u := parseUnit(src.Fset, meta, byFile)
		src.units[meta.ID] = u
		p := &Package{Path: meta.PkgPath, Name: meta.Name, unit: u}
		before := len(c.diags)
		for _, f := range u.files {
			if data, ok := byFile[f.path]; ok {
				p.Dir = filepath.Dir(f.path)
				c.file(f, p, constraintOf(f.path, data))
				delete(byFile, f.path)
			}
		}
		src.Annotated += len(p.Funcs)
		switch {
		case !selected(p.Dir) && (len(p.Funcs) > 0 || u.broken()): // its queues and defaults may count, its jobs don't
			c.diags = c.diags[:before]
			clear(u.handlers)
		case len(p.Funcs) > 0:
			src.Packages = append(src.Packages, p)
		}
	}
	c.leftOut(byFile, metas)
	for _, scope := range slices.Sorted(maps.Keys(c.defaults)) {
		src.Defaults = append(src.Defaults, &Defaults{Package: scope, Settings: c.defaults[scope].settings})
	}
	clock("parse")

	d := &demander{fset: src.Fset, units: src.units, parse: func(meta *packages.Package) *unit { return parseUnit(src.Fset, meta, nil) }}
	for _, p := range src.Packages {
		for _, fn := range p.Funcs {
			d.handler(p.unit, fn.file, fn.Decl)
			d.errorValues(fn)
			d.functions(src, fn)
		}
	}
	clock("follow")

	ch := newChecker(src.Fset, src.units)
	for _, id := range sortedKeys(src.units) {
		if u := src.units[id]; len(u.wanted)+len(u.handlers) > 0 {
			ch.check(u)
		}
	}
	for _, p := range src.Packages {
		for _, fn := range p.Funcs {
			fn.Object = ch.function(fn.Decl)
			for _, other := range fn.functions() {
				other.Object = ch.function(other.decl.fn)
			}
		}
	}
	clock("types")
	return src, append(c.diags, src.typeErrors()...), nil
}

// errorValues demands what permanent= names.
func (d *demander) errorValues(fn *Func) {
	for _, s := range fn.Settings {
		if s.Key.Name != "permanent" {
			continue
		}
		for _, v := range s.Values {
			qualifier, name, ok := strings.Cut(v.Text, ".")
			if !ok {
				d.name(fn.Package.unit, v.Text)
			} else if meta := fn.file.imported(fn.Package.unit, qualifier); meta != nil {
				d.name(d.unit(meta), name)
			}
		}
	}
}

// leftOut reports annotations in files that the go command leaves out of their
// packages.
func (c *collector) leftOut(files map[string][]byte, metas []*packages.Package) {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		why := constraintOf(name, files[name])
		if why == "" {
			why = "the go command"
			for _, m := range metas {
				if m.Dir == filepath.Dir(name) && len(m.Errors) > 0 {
					why = "the go command: " + m.Errors[0].Msg
				}
			}
		}
		c.diags = append(c.diags, diag.Diagnostic{
			Code: "JG014", Pos: firstAnnotation(name, files[name]),
			Message: "this file is left out of the build by " + why + ", so its jobs could not be registered everywhere; move them to a file without a constraint",
		})
	}
}

// firstAnnotation returns the place of a file's first annotation.
func firstAnnotation(name string, data []byte) model.Pos {
	pos := model.Pos{File: name, Line: 1, Column: 1}
	for line := range strings.Lines(string(data)) {
		if i := strings.Index(line, "//job"); i >= 0 {
			pos.Offset += i
			pos.Column += i
			return pos
		}
		pos.Offset += len(line)
		pos.Line++
	}
	return model.Pos{File: name, Line: 1, Column: 1}
}

// typeErrors returns the type errors of demanded declarations in the module,
// and the first syntax error of each file that holds some. When a name is
// undefined, a syntax error anywhere in the packages read may be the cause.
func (s *Source) typeErrors() []diag.Diagnostic {
	var ds []diag.Diagnostic
	for _, u := range s.units {
		for _, e := range u.errs {
			pos := s.Pos(e.pos)
			if !s.contains(pos.File) {
				continue
			}
			d := diag.Diagnostic{Code: "JG009", Pos: pos, Message: e.msg}
			if strings.HasPrefix(e.msg, "could not import ") {
				d.Related = []diag.Note{{Message: "go mod tidy may help"}}
			}
			ds = append(ds, d)
		}
	}
	undefined := len(ds) > 0
	for _, u := range s.units {
		for _, f := range u.files {
			if len(f.errors) > 0 && (f.demanded || undefined) && s.contains(f.path) {
				ds = append(ds, syntaxError(s.Fset, f, f.errors[0]))
			}
		}
	}
	return ds
}

// contains reports whether a file lies below the module's directory.
func (s *Source) contains(file string) bool {
	rel, err := filepath.Rel(s.ModuleDir, file)
	return err == nil && filepath.IsLocal(rel)
}

func stopwatch(report func(string, time.Duration)) func(string) {
	last := time.Now()
	return func(phase string) {
		now := time.Now()
		if report != nil {
			report(phase, now.Sub(last))
		}
		last = now
	}
}
