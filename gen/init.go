package gen

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/scaffold"
)

// Init writes a small program with one job into the module in dir, generates
// its code, and returns the paths of the files that it wrote by hand, relative
// to dir. The module must hold no program yet; nothing is overwritten.
//
// When there is no go.mod and module isn't empty, Init starts one.
func Init(ctx context.Context, dir, module string) ([]string, *Result, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	var written []string
	_, err = os.Stat(filepath.Join(abs, "go.mod"))
	switch {
	case err == nil:
		_, declared, err := load.FindModule(abs)
		if err != nil {
			return nil, nil, usage{err}
		}
		if module != "" && module != declared {
			return nil, nil, usagef("go.mod says module %s, not %s", declared, module)
		}
		module = declared
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	case module == "":
		return nil, nil, usagef("no go.mod in %s; name the module: jobgen init example.com/app", abs)
	case strings.ContainsAny(module, " \t\n\"'`\\"):
		return nil, nil, usagef("%q is no module path", module)
	}
	layout, err := scaffold.Write(abs, module)
	written = append(written, layout...)
	if err != nil {
		return written, nil, usage{err}
	}
	if _, err := os.Stat(filepath.Join(abs, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(filepath.Join(abs, "go.mod"), []byte("module "+module+"\n\ngo 1.26\n"), 0o644); err != nil {
			return written, nil, err
		}
		written = append(written, "go.mod")
	}
	res, err := Generate(ctx, Options{Dir: abs})
	return written, res, err
}
