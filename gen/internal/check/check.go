// Package check turns what package load has read into a model.Module, and
// reports everything in the user's code that keeps it from being one.
//
// It never stops at the first fault: a faulty job is left out of the model and
// the rest is checked.
package check

import (
	"cmp"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/internal/wire"
)

// Options are the choices that don't come from annotations.
type Options struct {
	Service string // "": the last element of the module path
	OutPath string // import path of the generated client package
}

// WorkerDir is where the registry goes, below the client package.
const WorkerDir = "worker"

// Check builds the model of a module. When it returns diagnostics, the model
// lacks what they are about and must not be rendered.
func Check(src *load.Source, opts Options) (*model.Module, []diag.Diagnostic) {
	c := &checker{
		src:     src,
		opts:    opts,
		types:   newTypes(src, opts.OutPath),
		queues:  map[string]*model.Queue{},
		imports: map[string]string{},
		jobs:    map[*load.Func]*model.Job{},
		loops:   map[*load.Func]*model.Loop{},
	}
	m := &model.Module{
		Path:      src.ModulePath,
		Service:   cmp.Or(opts.Service, ServiceOf(src.ModulePath)),
		OutPath:   opts.OutPath,
		OutName:   PackageName(opts.OutPath),
		WorkerDir: WorkerDir,
	}
	m.Queues = c.declaredQueues()
	c.defaultQueues()
	for _, p := range src.Packages {
		pkg := &model.Package{Path: p.Path, Name: p.Name}
		for _, f := range p.Funcs {
			if isLoop(f) {
				if l := c.loop(m.Service, f); l != nil {
					m.Loops = append(m.Loops, l)
					c.imports[p.Path] = p.Name
				}
				continue
			}
			if j := c.job(m.Service, f); j != nil {
				pkg.Jobs = append(pkg.Jobs, j)
				m.Jobs = append(m.Jobs, j)
				c.imports[p.Path] = p.Name
			}
		}
		slices.SortFunc(pkg.Jobs, byName)
		if len(pkg.Jobs) > 0 {
			m.Packages = append(m.Packages, pkg)
		}
	}
	slices.SortFunc(m.Jobs, byName)
	slices.SortFunc(m.Loops, func(a, b *model.Loop) int { return cmp.Compare(a.Name, b.Name) })
	c.connect(m)
	c.types.report(&c.diags)
	c.uniqueNames(m)
	m.Deps = c.dependencies(m)
	stems(m.Packages)
	m.Types = c.types.structs()
	c.importCycles(m)
	for p, n := range c.types.imports {
		c.imports[p] = n
	}
	for p, n := range c.imports {
		m.Imports = append(m.Imports, model.Import{Path: p, Name: n})
	}
	slices.SortFunc(m.Imports, func(a, b model.Import) int { return cmp.Compare(a.Path, b.Path) })
	return m, c.diags
}

func byName(a, b *model.Job) int { return cmp.Compare(a.Name, b.Name) }

type checker struct {
	src      *load.Source
	opts     Options
	types    *typeTable
	queues   map[string]*model.Queue
	imports  map[string]string
	jobs     map[*load.Func]*model.Job // those that are right by themselves
	handlers []*handler                // the same, in source order
	loops    map[*load.Func]*model.Loop
	awaited  []awaited
	returned []*types.Named // results of all annotated functions, None for those without
	unread   bool           // some annotated function's signature could not be read
	diags    []diag.Diagnostic
}

// handler is a job with what it was made from.
type handler struct {
	f            *load.Func
	job          *model.Job
	settings     merged
	args, result *types.Named // nil where it has none
}

func (c *checker) report(code string, pos model.Pos, message string, notes ...diag.Note) *diag.Diagnostic {
	c.diags = append(c.diags, diag.Diagnostic{Code: code, Pos: pos, Message: message, Related: notes})
	return &c.diags[len(c.diags)-1]
}

// job builds one job, or returns nil when its declaration can't be one.
func (c *checker) job(service string, f *load.Func) *model.Job {
	j := &model.Job{
		Func: model.Name{Path: f.Package.Path, Pkg: f.Package.Name, Name: f.Decl.Name.Name},
		Stub: f.Decl.Name.Name,
		Doc:  docLines(f.Decl.Doc.Text()),
		Pos:  f.Pos,
	}
	before := len(c.diags)
	c.placement(f)
	c.receiver(f, j)
	args, result, whole := c.signature(f, j)
	settings := c.settings(f, j, service, args)
	for _, key := range []string{"debounce", "on-conflict"} {
		if len(j.Parents) > 0 && settings.has(key) == jobLevel && settings.text(key) != "keep" {
			c.report("JG007", settings[key].Pos, key+" has no place here: a job that waits for others replaces none")
		}
	}
	complete := f.Object != nil && whole
	c.clock(f, j, args)
	c.schedules(f, j, settings)
	if args != nil {
		if j.Args = c.types.root(args, j, "argument"); j.Args != nil {
			j.ArgsSchema = wire.Schema(j.Args)
			c.keysAreStored(j, settings)
		}
		complete = complete && j.Args != nil
	}
	if result != nil {
		if j.Result = c.types.root(result, j, "result"); j.Result != nil {
			j.ResultSchema = wire.Schema(j.Result)
		}
		complete = complete && j.Result != nil
	}
	if len(c.diags) > before || !complete {
		return nil
	}
	c.jobs[f] = j
	c.handlers = append(c.handlers, &handler{f, j, settings, args, result})
	return j
}

// docLines splits a doc comment without its directives into lines.
func docLines(text string) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

var (
	majorVersion = regexp.MustCompile(`^v[0-9]+$`)
	notInName    = regexp.MustCompile(`[^A-Za-z0-9_]+`)
	notInService = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
)

// ServiceOf returns the service name that a module path stands for: its last
// element, a major version suffix left out.
func ServiceOf(modulePath string) string {
	base := path.Base(modulePath)
	if majorVersion.MatchString(base) && strings.Contains(modulePath, "/") {
		base = path.Base(path.Dir(modulePath))
	}
	return notInService.ReplaceAllString(base, "-")
}

// PackageName makes a package name out of the last element of an import path.
func PackageName(importPath string) string {
	name := strings.ToLower(notInName.ReplaceAllString(path.Base(importPath), ""))
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "gen" + name
	}
	return name
}
