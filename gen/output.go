package gen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/jobgen/jobgen/gen/internal/check"
	"github.com/jobgen/jobgen/gen/internal/load"
)

// Action is what happens to a generated file.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Remove Action = "remove"
)

// Change is one generated file that differs from what is on the disk.
type Change struct {
	Path   string // slash-separated, relative to Result.OutDir; jobs.lock and JOBS.md lie in its parent
	Action Action

	old, new []byte
}

// Diff returns the change as a unified diff.
func (c Change) Diff() string {
	return string(diff.Diff(c.Path, c.old, c.Path+" (generated)", c.new))
}

// output is the directory of generated code as it is now.
type outputDir struct {
	dir   string
	files map[string][]byte // by slash-separated path; jobgen's own only
}

// openOutput reads the output directory. It refuses one that holds Go files
// which jobgen did not write.
func openOutput(dir string) (*outputDir, error) {
	o := &outputDir{dir: dir, files: map[string][]byte{}}
	for _, sub := range []string{".", check.WorkerDir} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read output directory: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			name := filepath.Join(dir, sub, e.Name())
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("read output directory: %w", err)
			}
			if !load.IsOurs(data) && len(bytes.TrimSpace(data)) > 0 { // a file without content is nobody's loss
				return nil, usagef("%s was not written by jobgen; generated code needs a directory of its own: choose another with -out, or move the file", name)
			}
			o.files[filepath.ToSlash(filepath.Join(sub, e.Name()))] = data
		}
	}
	return o, nil
}

// compare lists what would change, by path.
func (o *outputDir) compare(files map[string][]byte) []Change {
	var cs []Change
	for name, data := range files {
		old, exists := o.files[name]
		switch {
		case !exists:
			cs = append(cs, Change{name, Create, nil, data})
		case !bytes.Equal(bytes.ReplaceAll(old, []byte("\r\n"), []byte("\n")), data): // git may check files out with CRLF
			cs = append(cs, Change{name, Update, old, data})
		}
	}
	for name, old := range o.files {
		if _, wanted := files[name]; !wanted {
			cs = append(cs, Change{name, Remove, old, nil})
		}
	}
	slices.SortFunc(cs, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return cs
}

// write brings the directory up to date. Every file is complete under a
// temporary name before the first one takes its place, and files are removed
// last.
func (o *outputDir) write(files map[string][]byte, changes []Change) (err error) {
	temps := map[string]string{} // final name -> temporary name
	defer func() {
		for _, t := range temps {
			err = errors.Join(err, os.Remove(t))
		}
		if err != nil {
			err = fmt.Errorf("write generated code: %w", err)
		}
	}()
	for _, c := range changes {
		if c.Action == Remove {
			continue
		}
		name := filepath.Join(o.dir, filepath.FromSlash(c.Path))
		if target, err := filepath.EvalSymlinks(name); err == nil {
			name = target // a link stays one
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		temp, err := writeTemp(name, files[c.Path])
		if temp != "" {
			temps[name] = temp
		}
		if err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(temps)) {
		if err := os.Rename(temps[name], name); err != nil {
			return err
		}
		delete(temps, name)
	}
	for _, c := range changes {
		if c.Action == Remove {
			if err := os.Remove(filepath.Join(o.dir, filepath.FromSlash(c.Path))); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeTemp writes data to a new file beside name and returns the file's name,
// also when it is incomplete.
func writeTemp(name string, data []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".jobgen-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	return f.Name(), errors.Join(err, f.Chmod(0o644), f.Close())
}
