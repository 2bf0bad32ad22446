package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// WaitFunction names the function in which a goroutine waits for each server
// process; goleak is told to ignore it.
const WaitFunction = "github.com/jobgen/jobgen/internal/pgtest.(*process).run"

// process is a child that runs until it is told to stop.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when the child has ended
	err  error         // how it ended; read after gone is closed
}

// startProcess starts path in dir with its output appended to logPath.
// onDeath is the signal that it gets when this process dies.
func startProcess(dir, logPath string, acct *account, onDeath syscall.Signal, path string, args ...string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := command(dir, path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	confine(cmd, acct, onDeath)
	p := &process{cmd: cmd, gone: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the child and waits for it on one thread that it keeps: the
// kernel sends the death signal when the starting thread ends, and Go ends
// threads while the process lives on.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.gone)
}

// stop sends sig and waits for the end of the process. When ctx ends first the
// process is killed, and stop says so.
func (p *process) stop(ctx context.Context, sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
	}
	if err := p.kill(); err != nil {
		return err
	}
	return fmt.Errorf("killed: did not stop on %v: %w", sig, ctx.Err())
}

// runToEnd runs a short-lived command; an error carries what it printed.
func runToEnd(ctx context.Context, dir string, acct *account, path string, args ...string) error {
	runtime.LockOSThread() // see process.run
	defer runtime.UnlockOSThread()
	var out strings.Builder
	cmd := command(dir, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // for the pipe, should a grandchild outlive the command
	confine(cmd, acct, syscall.SIGKILL)
	if err := cmd.Start(); err != nil {
		return err
	}
	dropKill := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer dropKill()
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// command prepares path with a small, fixed environment: PGPORT, LC_ALL and
// the like in the developer's shell change nothing.
func command(dir, path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TZ=UTC"}
	return cmd
}

// poll calls try every 20 ms until it succeeds, p ends or ctx ends.
func (p *process) poll(ctx context.Context, try func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.gone:
			return fmt.Errorf("process ended: %v", p.err)
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w (last: %v)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// kill ends the process at once and waits for its end.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.gone
	return nil
}
