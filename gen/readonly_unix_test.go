//go:build unix

package gen

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestMain also serves TestAReadOnlyTreeIsAClearError, which must not run as
// root and so runs this program again as somebody else.
func TestMain(m *testing.M) {
	if dir := os.Getenv("JOBGEN_TEST_WRITE_INTO"); dir != "" {
		out, err := openOutput(dir)
		if err == nil {
			files := map[string][]byte{"client_gen.go": []byte("package gen\n")}
			err = out.write(files, out.compare(files))
		}
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestAReadOnlyTreeIsAClearError(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The copy stands where any user may run it.
	base, err := os.MkdirTemp("/tmp", "jobgen-readonly-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	dir := filepath.Join(base, "gen")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(base, 0o755)); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(base, "jobgen.test")
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(binary, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary)
	cmd.Dir = base
	cmd.Env = append(os.Environ(), "JOBGEN_TEST_WRITE_INTO="+dir)
	if os.Geteuid() == 0 { // root may write anywhere
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.HasPrefix(string(out), "write generated code: ") || !strings.Contains(string(out), "permission denied") {
		t.Errorf("err %v, output %q", err, out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}
