//go:build unix

package readme

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPlay(t *testing.T) {
	steps := load(t, "testdata/README.md")
	checkout := smallCheckout(t)
	var log bytes.Buffer
	if err := Play(t.Context(), steps, checkout, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, text := range []string{"go mod init example.com/hello", "# wrote ", "/hello/main.go", "hello, reader"} {
		if !strings.Contains(log.String(), text) {
			t.Errorf("the transcript lacks %q:\n%s", text, log.String())
		}
	}

	steps[len(steps)-1].Body = "hello, writer\n…\n"
	err := Play(t.Context(), steps, checkout, io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), "line 49: printed:\nhello, reader\n") {
		t.Errorf("error %v; want one about the output on line 49", err)
	}
}

func TestPlayStopsAtTheFirstCommandThatFails(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	steps := []Step{
		{Kind: Run, Body: "false\ntouch " + marker + "\n", Line: 3},
		{Kind: Run, Body: "touch " + marker + "\n", Line: 9},
	}
	err := Play(t.Context(), steps, t.TempDir(), io.Discard)
	if err == nil || !strings.HasPrefix(err.Error(), "line 3: the run failed") {
		t.Errorf("error %v; want one about line 3", err)
	}
	if _, err := os.Stat(marker); !os.IsNotExist(err) {
		t.Errorf("went on after the failure: %v", err)
	}
}

func TestPlayKillsChildrenWhenItsContextEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "held")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := writer(func(text string) {
		if text == "started\n" {
			cancel()
		}
	})
	steps := []Step{{Kind: Run, Body: "(echo started; sleep 600) 3>" + path + " | cat\n", Line: 1}}
	err = Play(ctx, steps, t.TempDir(), log)
	if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error %v; want that of the context", err)
	}
	// The pipe ends once no child holds it.
	if err := held.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v; a child lives on", err)
	}
}

type writer func(string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

func load(t *testing.T, path string) []Step {
	t.Helper()
	markdown, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := Parse(string(markdown))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return steps
}

// smallCheckout is a module with our name and one small package.
func smallCheckout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":         "module github.com/jobgen/jobgen\n\ngo 1.26\n",
		"greet/greet.go": "package greet\n\nfunc Hello(name string) string { return \"hello, \" + name }\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
