package load

import (
	"context"
	"errors"
	"fmt"
	"go/build"
	"go/build/constraint"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// metadata asks the go command which files and imports the packages of the
// given directories have, dependencies included. It asks for nothing that
// would make the go command compile.
func metadata(ctx context.Context, root string, dirs []string) ([]*packages.Package, error) {
	patterns := make([]string, len(dirs))
	for i, d := range dirs {
		rel, err := filepath.Rel(root, d)
		if err != nil {
			return nil, err
		}
		patterns[i] = "./" + filepath.ToSlash(rel)
	}
	ps, err := packages.Load(&packages.Config{
		Context: ctx,
		Dir:     root,
		Mode:    packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedModule,
	}, patterns...)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("list packages: %w", context.Cause(ctx)) // the driver's own error hides it
	}
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", plain(err))
	}
	slices.SortFunc(ps, func(a, b *packages.Package) int { return strings.Compare(a.PkgPath, b.PkgPath) })
	return ps, nil
}

// plain is what the go command said, without how it was called. Where it asks for go mod tidy, which fails while
// generated code is missing, the flag that makes it go on is named.
func plain(err error) error {
	_, said, found := strings.Cut(err.Error(), "stderr: ")
	if !found {
		return err
	}
	said = strings.TrimSpace(said)
	if strings.Contains(said, "updates to go.mod needed") {
		return errors.New("go.mod is not up to date; run go mod tidy -e, then jobgen again")
	}
	return errors.New(said)
}

// always reports whether a constraint holds whatever the system, as one on
// Go's version does that the module requires anyway.
func always(expr constraint.Expr) bool {
	version := func(tag string) bool { return strings.HasPrefix(tag, "go1.") }
	return expr.Eval(version) && expr.Eval(func(string) bool { return true })
}

// constraintOf returns what keeps a file out of some builds: its //go:build
// line, or the operating system or architecture in its name. It returns "" for
// a file that belongs to every build.
func constraintOf(path string, data []byte) string {
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "package ") {
			break
		}
		if expr, err := constraint.Parse(line); err == nil && constraint.IsGoBuild(line) && !always(expr) {
			return line
		}
	}
	// A context that is no system at all matches only names without a suffix.
	none := build.Context{GOOS: "none", GOARCH: "none", Compiler: "gc", CgoEnabled: true,
		OpenFile: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package p\n")), nil }}
	if ok, err := none.MatchFile(filepath.Dir(path), filepath.Base(path)); err == nil && !ok {
		return "the file name " + filepath.Base(path)
	}
	return ""
}
