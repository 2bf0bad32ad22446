// Package scaffold writes the first files of a module that uses jobgen.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed files
var files embed.FS

// layout is where each file goes, in the order in which they are written.
var layout = []struct{ source, path string }{
	{"doc.go.txt", "doc.go"},
	{"main.go.txt", "main.go"},
	{"jobs.go.txt", "jobs/jobs.go"},
	{"hello.go.txt", "jobs/hello/hello.go"},
}

// Write writes the files below dir, for a module of the given path, and
// returns their slash-separated paths. It writes nothing when one of them is
// there already, or when a file of the root package would be in the way.
func Write(dir, module string) ([]string, error) {
	if entries, err := filepath.Glob(filepath.Join(dir, "*.go")); err != nil {
		return nil, err
	} else if len(entries) > 0 {
		return nil, fmt.Errorf("%s is here already: init writes into an empty module only", filepath.Base(entries[0]))
	}
	for _, f := range layout {
		_, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(f.path)))
		switch {
		case err == nil:
			return nil, fmt.Errorf("%s is here already: init overwrites nothing", f.path)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	var written []string
	for _, f := range layout {
		data, err := files.ReadFile("files/" + f.source)
		if err != nil {
			return written, err
		}
		name := filepath.Join(dir, filepath.FromSlash(f.path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return written, err
		}
		text := strings.ReplaceAll(string(data), "MODULE", module)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return written, err
		}
		written = append(written, f.path)
	}
	return written, nil
}
