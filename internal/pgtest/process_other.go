//go:build !linux

package pgtest

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// account is the user that servers run as when this process is root.
type account struct{ uid, gid int }

func serverAccount() (*account, error) {
	if os.Geteuid() == 0 {
		return nil, errors.New("PostgreSQL does not run as root; run the tests as another user")
	}
	return nil, nil
}

// confine has nothing to do: this system can't tie a child's life to its
// parent's.
func confine(*exec.Cmd, *account, syscall.Signal) {}

// tryLock never locks, so that no folder is taken for an orphan.
func tryLock(*os.File) (bool, error) { return false, nil }
