package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	folderPattern = "jobgen-pg-*"
	lockName      = "owner.lock"
)

// folder is the temporary directory of one server or bouncer. While the
// process that made it lives it holds a lock on a file inside, so that others
// can tell a folder in use from one whose owner was killed.
type folder struct {
	path string
	lock *os.File // nil where files can't be locked
}

// newFolder makes a folder below parent, owned by acct, after removing those
// that killed processes left there.
func newFolder(parent string, acct *account) (*folder, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweep(parent)
	path, err := os.MkdirTemp(parent, folderPattern)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	if err := f.takeLock(); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if acct != nil {
		if err := os.Chown(path, acct.uid, acct.gid); err != nil {
			return nil, f.discard(err)
		}
	}
	return f, nil
}

// takeLock locks the file before it appears under its name: a sweep never
// sees it unlocked while its owner lives.
func (f *folder) takeLock() error {
	unready := filepath.Join(f.path, lockName+".new")
	file, err := os.OpenFile(unready, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	held, err := tryLock(file)
	if err != nil || !held {
		file.Close()
		return err
	}
	f.lock = file
	return os.Rename(unready, filepath.Join(f.path, lockName))
}

// write creates a file in the folder that acct can read.
func (f *folder) write(name, content string, acct *account) (string, error) {
	path := filepath.Join(f.path, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return "", err
	}
	if acct != nil {
		if err := os.Chown(path, acct.uid, acct.gid); err != nil {
			return "", err
		}
	}
	return path, nil
}

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lock != nil {
		f.lock.Close()
		f.lock = nil
	}
	return err
}

// discard removes the folder on the way out of a failed start.
func (f *folder) discard(why error) error {
	if err := f.remove(); err != nil {
		return fmt.Errorf("%w (and %v)", why, err)
	}
	return why
}

// sweep removes folders whose owner is gone. It is a courtesy: what it can't
// lock or remove, it leaves.
func sweep(parent string) {
	found, err := filepath.Glob(filepath.Join(parent, folderPattern))
	if err != nil {
		return
	}
	for _, path := range found {
		file, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if orphaned, err := tryLock(file); err == nil && orphaned {
			os.RemoveAll(path)
		}
		file.Close()
	}
}
