package gen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/check"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/lock"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// Files beside the directory of generated code, as Result.Files names them.
const (
	lockPath      = "../" + lock.FileName
	inventoryPath = "../JOBS.md"
)

// besideOutput are the lock and the inventory as they are on the disk.
type besideOutput struct {
	files map[string][]byte // by path as in Result.Files
	lock  *lock.Lock        // nil when there is none
}

// openBeside reads what lies beside the output directory. Faults of the lock
// are diagnostics.
func openBeside(res *Result) (*besideOutput, error) {
	b := &besideOutput{files: map[string][]byte{}}
	for _, name := range []string{lockPath, inventoryPath} {
		data, err := os.ReadFile(filepath.Join(res.OutDir, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
		}
		b.files[name] = data
	}
	if data, ok := b.files[inventoryPath]; ok && !bytes.HasPrefix(data, []byte(strings.TrimSpace(inventoryHeader))) && len(bytes.TrimSpace(data)) > 0 {
		return nil, usagef("%s was not written by jobgen, which keeps its list of jobs there; rename it", filepath.Join(filepath.Dir(res.OutDir), "JOBS.md"))
	}
	data, ok := b.files[lockPath]
	if !ok {
		return b, nil
	}
	b.lock, res.Diagnostics = lock.Parse(lockFile(res.OutDir), data)
	if b.lock == nil {
		return b, nil
	}
	if other := b.lock.Out; other != "" && other != filepath.Base(res.OutDir) && holdsGenerated(filepath.Join(filepath.Dir(res.OutDir), other)) {
		return nil, usagef("%s belongs to the generated code in %s; two output directories can't lie side by side: give each a parent directory of its own", lockFile(res.OutDir), other)
	}
	return b, nil
}

// lockFile returns the path of the lock that belongs to an output directory.
func lockFile(outDir string) string { return filepath.Join(filepath.Dir(outDir), lock.FileName) }

// holdsGenerated reports whether a directory holds a client that jobgen wrote.
func holdsGenerated(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, "client_gen.go"))
	return err == nil && load.IsOurs(data)
}

// addTo adds the lock and the inventory to the files that a run writes, and
// to what out knows is there.
func (b *besideOutput) addTo(res *Result, module *model.Module, out *outputDir) {
	now := lock.FromModel(module, filepath.Base(res.OutDir))
	res.Files[lockPath] = lock.Next(b.lock, now).Bytes()
	res.Files[inventoryPath] = inventoryPage(module.Service, res.Jobs, res.Loops, res.Queues)
	if (b.lock == nil || len(b.lock.Jobs) == 0) && bytes.Contains(out.files[check.WorkerDir+"/register_gen.go"], []byte("jobrt.Register")) {
		res.Warnings = append(res.Warnings, lock.Lost(lockFile(res.OutDir)))
	}
	for name, data := range b.files {
		out.files[name] = data
	}
	if b.lock != nil {
		res.Findings = lock.Compare(b.lock, now)
		lock.Sort(res.Findings)
	}
}

// PruneLock removes what is gone from the lock that lies beside the output
// directory, and returns the names that it freed.
func PruneLock(opts Options) (names []string, res *Result, err error) {
	res = &Result{}
	_, res.OutDir, _, err = locate(opts)
	if err != nil {
		return nil, res, err
	}
	b, err := openBeside(res)
	if err != nil || len(res.Diagnostics) > 0 {
		return nil, res, err
	}
	if b.lock == nil {
		return nil, res, usagef("there is no %s", lockFile(res.OutDir))
	}
	for _, j := range b.lock.Jobs {
		if j.Gone {
			names = append(names, j.Name)
		}
	}
	if len(names) == 0 {
		return nil, res, nil
	}
	out := &outputDir{dir: res.OutDir, files: map[string][]byte{lockPath: b.files[lockPath]}}
	res.Files = map[string][]byte{lockPath: b.lock.Prune().Bytes()}
	res.Changes = out.compare(res.Files)
	return names, res, out.write(res.Files, res.Changes)
}
