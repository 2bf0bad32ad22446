package mistakes

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// doesNotCompile builds testdata/compile/NAME, which must be refused with the
// words of its want.txt.
func doesNotCompile(t *testing.T, name string, env ...string) {
	t.Helper()
	out, err := goCommand(t, env, "build", "-gcflags=-e", "./testdata/compile/"+name+"/...")
	if err == nil {
		t.Fatal("it compiled")
	}
	wantOutput(t, name, out)
}

// compilesButVetComplains builds testdata/compile/NAME and vets it: go vet
// must say the words of its want.txt.
func compilesButVetComplains(t *testing.T, name string) {
	t.Helper()
	if out, err := goCommand(t, nil, "build", "./testdata/compile/"+name); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	out, err := goCommand(t, nil, "vet", "./testdata/compile/"+name)
	if err == nil {
		t.Fatal("go vet says nothing")
	}
	wantOutput(t, name, out)
}

func goCommand(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// wantOutput checks that out holds every line of testdata/compile/NAME/want.txt.
func wantOutput(t *testing.T, name, out string) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", "compile", name, "want.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(want)) {
		if line = strings.TrimSpace(line); !strings.Contains(out, line) {
			t.Errorf("the go command did not say %q, but:\n%s", line, out)
		}
	}
}
