package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"jobgen": program})
}

// TestScripts runs testdata/*.txtar: each is a module, commands, and what they
// print. The module cache is used offline.
func TestScripts(t *testing.T) {
	env := goEnv(t, "GOCACHE", "GOMODCACHE", "GOROOT")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "usemodule": useModule(root), "age": age, "crlf": crlf, "untouched": untouched,
		},
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			e.Vars = append(e.Vars, "REPO="+root, "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOTOOLCHAIN=local", "GOWORK=", "NO_COLOR=1")
			return nil
		},
	})
}

// goEnv returns variables of the go command as NAME=value.
func goEnv(t *testing.T, names ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"env"}, names...)...).Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	var env []string
	for i, v := range strings.Split(strings.TrimSuffix(string(out), "\n"), "\n") {
		env = append(env, names[i]+"="+strings.TrimSuffix(v, "\r"))
	}
	return env
}

// code N command args… runs a command that must exit with code N.
func code(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N command args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// usemodule makes the module in the current directory depend on this
// repository as it stands.
func useModule(root string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("go.sum"), sum, 0o644))
		mod := ts.ReadFile("go.mod")
		mod += "\nrequire github.com/jobgen/jobgen v0.0.0\n\nreplace github.com/jobgen/jobgen => " + root + "\n"
		ts.Check(os.WriteFile(ts.MkAbs("go.mod"), []byte(mod), 0o644))
	}
}

// crlf FILE… gives files the line endings of Windows.
func crlf(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		text := strings.ReplaceAll(ts.ReadFile(a), "\n", "\r\n")
		ts.Check(os.WriteFile(ts.MkAbs(a), []byte(text), 0o644))
	}
}

var longAgo = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)

// age FILE… gives files an old modification time.
func age(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		ts.Check(os.Chtimes(ts.MkAbs(a), longAgo, longAgo))
	}
}

// untouched FILE… checks that nothing has written to the files since age.
func untouched(ts *testscript.TestScript, neg bool, args []string) {
	for _, a := range args {
		fi, err := os.Stat(ts.MkAbs(a))
		ts.Check(err)
		if fi.ModTime().Equal(longAgo) == neg {
			ts.Fatalf("%s: written since: %v, want %v", a, !neg, neg)
		}
	}
}
