// Package gen is jobgen: it reads the //job: annotations of a module and writes
// the typed client, the codecs and the registry that belong to them.
//
// Generate is the whole pipeline. It needs nothing but the signatures of
// annotated functions to be readable: generated code may be missing, stale or
// full of conflict markers. Nothing is written unless everything could be
// rendered, files that would not change are left alone, and nothing is removed
// but files that carry jobgen's own header.
package gen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/jobgen/jobgen/gen/internal/check"
	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/templates"
)

// Options say what to generate. The zero value generates the jobs of the
// module around the current directory into ./gen.
type Options struct {
	// Dir is the directory that everything else is relative to. Default: the
	// current directory.
	Dir string
	// Out is the directory of the generated client package; the registry goes
	// to its subdirectory worker. Default: "gen".
	Out string
	// Service is the first part of stored job names. Default: the last element
	// of the module path.
	Service string
	// Patterns select the packages whose jobs are generated. Default: "./...".
	Patterns []string
	// DryRun compares instead of writing: see Result.Changes.
	DryRun bool
	// AcceptBreaking writes also when jobs that are stored already would
	// break: see Result.Findings.
	AcceptBreaking bool
}

// Result is what a run found and did.
type Result struct {
	Jobs        []Job             // by name; what could be read, also when there are diagnostics
	Files       map[string][]byte // by slash-separated path relative to OutDir; nil when there are diagnostics
	OutDir      string            // absolute
	Loops       []Loop            // by name
	Queues      []Queue           // by name; declared ones and those that jobs are in
	Findings    []Finding         // changes since jobs.lock that matter to stored jobs; breaking ones first
	Changes     []Change          // what was written, or with DryRun would have been, by path
	Diagnostics []Diagnostic      // faults of the user's code, in order of position
	Warnings    []Diagnostic      // what doesn't keep code from being generated
	Ignored     []string          // test files with annotations, which do nothing there
	Timings     []Timing          // in order

	service string
}

// Timing is how long one phase took.
type Timing struct {
	Phase string
	Took  time.Duration
}

// ErrUsage is what errors about the caller's wishes are, such as an output
// directory that holds other code.
var ErrUsage = errors.New("wrong usage")

// usage marks an error as ErrUsage without a change to its text.
type usage struct{ error }

func (u usage) Unwrap() error        { return u.error }
func (u usage) Is(target error) bool { return target == ErrUsage }

func usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// Generate reads the module, and writes its generated code unless there are
// diagnostics. The error is for what isn't the fault of the annotated code: an
// unreadable module, a wrong option, a disk that can't be written.
func Generate(ctx context.Context, opts Options) (*Result, error) {
	res := &Result{}
	clock := res.stopwatch()

	module, err := read(ctx, opts, res)
	if err != nil || len(res.Diagnostics) > 0 {
		return res, err
	}
	clock("check")

	out, err := openOutput(res.OutDir)
	if err != nil {
		return res, err
	}
	beside, err := openBeside(res)
	if err != nil || len(res.Diagnostics) > 0 {
		return res, err
	}
	if len(module.Jobs) == 0 && len(module.Loops) == 0 && len(out.files) == 0 && beside.lock == nil {
		return res, nil // a module that doesn't use jobgen
	}
	if res.Files, err = templates.Render(module, out.files); err != nil {
		return res, fmt.Errorf("render: %w", err)
	}
	beside.addTo(res, module, out)
	clock("render")

	if IsBreaking(res.Findings) && !opts.DryRun && !opts.AcceptBreaking {
		return res, nil
	}
	res.Changes = out.compare(res.Files)
	if !opts.DryRun {
		err = out.write(res.Files, res.Changes)
		clock("write")
	}
	return res, err
}

// read loads and checks the module, and fills in what Result says about it.
func read(ctx context.Context, opts Options, res *Result) (*model.Module, error) {
	dir, outDir, outPath, err := locate(opts)
	if err != nil {
		return nil, err
	}
	res.OutDir = outDir
	if opts.Service != "" && opts.Service != check.ServiceOf(opts.Service) {
		return nil, usagef("service name %q: want letters, digits and . _ -", opts.Service)
	}
	src, diags, err := load.Load(ctx, load.Config{Dir: dir, Patterns: opts.Patterns, Timing: func(phase string, took time.Duration) {
		res.Timings = append(res.Timings, Timing{phase, took})
	}})
	if err != nil {
		return nil, err
	}
	if len(src.Packages) == 0 && src.Annotated > 0 {
		return nil, usagef("no selected package has jobs, but others have")
	}
	module, more := check.Check(src, check.Options{Service: opts.Service, OutPath: outPath})
	res.Diagnostics = diag.Sort(append(diags, more...))
	if len(res.Diagnostics) == 0 { // what is missing may be what could not be read
		res.Diagnostics, res.Warnings = check.Policy(module)
	}
	res.service = module.Service
	res.Jobs, res.Queues = inventory(module)
	res.Loops = loops(module)
	res.Ignored = src.Tests
	return module, nil
}

// locate returns the directory that everything is relative to, and that of
// generated code with its import path.
func locate(opts Options) (dir, outDir, outPath string, err error) {
	dir = cmp.Or(opts.Dir, ".")
	root, modulePath, err := load.FindModule(dir)
	if err != nil {
		return "", "", "", usage{err}
	}
	if outDir, outPath, err = output(dir, root, modulePath, opts.Out); err != nil {
		return "", "", "", usage{err}
	}
	return dir, outDir, outPath, nil
}

// output returns the absolute directory and the import path of the client
// package.
func output(dir, root, modulePath, out string) (string, string, error) {
	if out == "" {
		out = "gen"
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(dir, out)
	}
	abs, err := filepath.Abs(out)
	if err != nil {
		return "", "", err
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", "", fmt.Errorf("output directory %s is outside the module in %s", abs, root)
	}
	if rel == "." {
		return "", "", errors.New("the output directory can't be the module's root; choose a directory for generated code alone")
	}
	if name := check.PackageName(filepath.ToSlash(rel)); name == "main" || token.IsKeyword(name) {
		return "", "", fmt.Errorf("output directory %s would hold package %s, which can't be imported; choose another name", abs, name)
	}
	if fi, err := os.Stat(abs); err == nil && !fi.IsDir() {
		return "", "", fmt.Errorf("output directory %s is a file", abs)
	}
	return abs, path.Join(modulePath, filepath.ToSlash(rel)), nil
}

func (r *Result) stopwatch() func(phase string) {
	last := time.Now()
	return func(phase string) {
		now := time.Now()
		took := now.Sub(last)
		if phase == "check" { // the loader has reported its own phases
			for _, t := range r.Timings {
				took -= t.Took
			}
		}
		r.Timings = append(r.Timings, Timing{phase, took})
		last = now
	}
}

// List reads the module without rendering anything.
func List(ctx context.Context, opts Options) (*Result, error) {
	res := &Result{}
	_, err := read(ctx, opts, res)
	return res, err
}
