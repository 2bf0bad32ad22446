package gen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/lock"
)

// Finding is a change that matters to jobs that are stored already.
type Finding = lock.Finding

// IsBreaking reports whether rows would fail, be misread or be stranded by any
// of the changes. The others are notes.
func IsBreaking(fs []Finding) bool { return lock.IsBreaking(fs) }

// Breaking compares the code with an earlier jobs.lock: a file, or the one that
// a git revision holds; "" is HEAD. The findings are in the result. A job that
// the jobs.lock on the disk lists as gone counts as given up on purpose. found
// is false when the revision holds no lock, so that there is nothing to compare
// with.
func Breaking(ctx context.Context, opts Options, against string) (res *Result, found bool, err error) {
	res = &Result{}
	module, err := read(ctx, opts, res)
	if err != nil || len(res.Diagnostics) > 0 {
		return res, false, err
	}
	name, data, err := earlierLock(ctx, filepath.Dir(res.OutDir), against)
	if err != nil || data == nil {
		return res, false, err
	}
	before, diags := lock.Parse(name, data)
	disk, err := openBeside(res)
	if err != nil {
		return res, true, err
	}
	res.Diagnostics = append(diags, res.Diagnostics...)
	if len(res.Diagnostics) > 0 {
		return res, true, nil
	}
	now := lock.FromModel(module, filepath.Base(res.OutDir))
	if disk.lock != nil {
		now = lock.WithGone(now, disk.lock)
	}
	res.Findings = lock.Compare(before, now)
	lock.Sort(res.Findings)
	return res, true, nil
}

// earlierLock reads the lock to compare with. data is nil when a revision has
// none.
func earlierLock(ctx context.Context, dir, against string) (name string, data []byte, err error) {
	if against != "" {
		switch info, err := os.Stat(against); {
		case err == nil && info.Mode().IsRegular():
			data, err := os.ReadFile(against)
			if err == nil && data == nil {
				data = []byte{}
			}
			abs, _ := filepath.Abs(against)
			return abs, data, err
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", nil, err
		}
	}
	ref := against
	if ref == "" {
		ref = "HEAD"
	}
	root, _, err := load.FindModule(dir)
	if err != nil {
		return "", nil, err
	}
	commit, err := git(ctx, root, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		if _, inside := git(ctx, root, "rev-parse", "--git-dir"); inside != nil {
			return "", nil, usagef("%s is in no git repository (%v); name a file: jobgen breaking -against FILE", root, inside)
		}
		if against == "" {
			return "HEAD", nil, nil // no commit yet
		}
		return "", nil, usagef("%s is neither a file nor a git revision that is here; in CI, fetch it first: git fetch origin %s", against, strings.TrimPrefix(against, "origin/"))
	}
	id := strings.TrimSpace(string(commit))
	file, err := lockAt(ctx, root, dir, id)
	if file == "" || err != nil {
		return ref, nil, err
	}
	data, err = git(ctx, root, "show", id+":./"+file)
	if err == nil && data == nil {
		data = []byte{}
	}
	return ref + ":" + file, data, err
}

// lockAt returns the path, from the module's root, of the lock that a commit has
// beside the generated code in dir. When there is none, it is the only one of the
// module that is gone since: generated code may have moved. "" means none.
func lockAt(ctx context.Context, root, dir, commit string) (string, error) {
	rel, err := filepath.Rel(root, filepath.Join(dir, lock.FileName))
	if err != nil {
		return "", err
	}
	beside := filepath.ToSlash(rel)
	list, err := git(ctx, root, "ls-tree", "-r", "-z", "--name-only", commit, "--", ".")
	if err != nil {
		return "", err
	}
	var gone []string
	for file := range strings.SplitSeq(string(list), "\x00") {
		if file == beside {
			return file, nil
		}
		if path.Base(file) != lock.FileName {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, file)
		}
	}
	switch len(gone) {
	case 0:
		return "", nil
	case 1:
		return gone[0], nil
	}
	return "", usagef("%s is not in that revision, and several that are gone since could be it: %s; write the right one to a file with git show, and name that: jobgen breaking -against FILE", beside, strings.Join(gone, " "))
}

// git runs a git command that only reads.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "GIT_DIR" || name == "GIT_WORK_TREE" || name == "GIT_INDEX_FILE" // a hook's, relative to its own directory
	}), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return out, nil
}

// WriteFindings prints findings as path:line:col: verdict: message [RULE],
// each followed by what becomes of stored rows and the way out.
func WriteFindings(w io.Writer, dir string, fs []Finding) error {
	var b strings.Builder
	for _, f := range fs {
		if f.Pos.File != "" {
			b.WriteString(diag.Place(dir, f.Pos) + ": ")
		}
		fmt.Fprintf(&b, "%s: %s [%s]\n\trows: %s\n", f.Verdict, f.Message, f.Rule, f.Rows)
		if f.Fix != "" {
			fmt.Fprintf(&b, "\tway out: %s\n", f.Fix)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteFindingsJSON prints one JSON object a line and finding. posn, end,
// category (the rule) and message are those of go vet -json.
func WriteFindingsJSON(w io.Writer, dir string, fs []Finding) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, f := range fs {
		at := ""
		if f.Pos.File != "" {
			at = diag.Place(dir, f.Pos)
		}
		err := enc.Encode(struct {
			Posn     string       `json:"posn"`
			End      string       `json:"end"`
			Category string       `json:"category"`
			Verdict  lock.Verdict `json:"verdict"`
			Job      string       `json:"job"`
			Message  string       `json:"message"`
			Rows     string       `json:"rows"`
			Fix      string       `json:"fix,omitempty"`
		}{at, at, f.Rule, f.Verdict, f.Job, f.Message, f.Rows, f.Fix})
		if err != nil {
			return err
		}
	}
	return nil
}
