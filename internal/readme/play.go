//go:build unix

package readme

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// player is where the reader has got to.
type player struct {
	cwd    string
	state  string // file in which a run leaves the folder it ended in
	stdout string // of the last run
	log    io.Writer
}

// Play carries out steps in a temporary folder in which ./jobgen leads to
// checkout, and removes it. It writes a transcript to log. Errors name the
// line of the step. When ctx ends, the running command is killed together with
// its children.
//
// Output and errors of a command reach log in the order in which they are
// read, which need not be the order in which they were written.
func Play(ctx context.Context, steps []Step, checkout string, log io.Writer) error {
	root, err := os.MkdirTemp("", "jobgen-readme-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	p := &player{cwd: filepath.Join(root, "home"), state: filepath.Join(root, "cwd"), log: &serialWriter{w: log}}
	if err := os.Mkdir(p.cwd, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(checkout, filepath.Join(p.cwd, "jobgen")); err != nil {
		return err
	}
	for _, step := range steps {
		if err := p.play(ctx, step); err != nil {
			return fmt.Errorf("line %d: %w", step.Line, err)
		}
	}
	return nil
}

func (p *player) play(ctx context.Context, step Step) error {
	switch step.Kind {
	case File:
		return p.write(step)
	case Run:
		return p.run(ctx, step)
	default:
		if !MatchOutput(step.Body, p.stdout) {
			return fmt.Errorf("printed:\n%s\nwant:\n%s", p.stdout, step.Body)
		}
		return nil
	}
}

func (p *player) write(step Step) error {
	path := filepath.Join(p.cwd, filepath.FromSlash(step.Name))
	fmt.Fprintf(p.log, "# wrote %s\n", path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(step.Body), 0o644)
}

func (p *player) run(ctx context.Context, step Step) error {
	fmt.Fprintf(p.log, "# in %s\n%s", p.cwd, step.Body)
	var stdout bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-e", "-c", step.Body+"\npwd >\"$QUICKSTART_CWD\"")
	cmd.Dir = p.cwd
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "QUICKSTART_CWD="+p.state)
	cmd.Stdout = io.MultiWriter(&stdout, p.log)
	cmd.Stderr = p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	p.stdout = stdout.String()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("the run failed: %w", err)
	}
	cwd, err := os.ReadFile(p.state)
	if err != nil {
		return err
	}
	p.cwd = strings.TrimSuffix(string(cwd), "\n")
	return nil
}

// serialWriter lets the two streams of a command share a writer.
type serialWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
