package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The input is what go test really prints, for a module made on the spot.
func TestSummaryOfGoTest(t *testing.T) {
	const (
		passes = "func TestPasses(t *testing.T) { t.Log(\"quiet\") }\n"
		fails  = "func TestFails(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Error(\"two is not three\") }) }\n"
		skips  = "func TestSkips(t *testing.T) { t.Skip(\"no server\") }\n"
		exits  = "func TestExits(t *testing.T) { fmt.Println(\"last words\"); os.Exit(3) }\n"
		breaks = "func TestBreaks(t *testing.T) { t.Nonsense() }\n"
	)
	tests := map[string]struct {
		body     string
		noSkips  bool
		code     int
		want     []string
		wantNone []string
	}{
		"all pass": {
			body:     passes,
			want:     []string{"ok  \tx\t", "1 tests passed, 0 failed, 0 skipped; 1 packages, 0 failed"},
			wantNone: []string{"quiet"},
		},
		"one fails": {
			body: passes + fails,
			code: 1,
			want: []string{"two is not three", "--- FAIL: TestFails/sub", "FAIL\tx\t", "1 tests passed, 2 failed, 0 skipped; 1 packages, 1 failed\nfailed: x\n"},
		},
		"a skip is named": {
			body: passes + skips,
			want: []string{"skipped: x.TestSkips: x_test.go:", "no server", "1 skipped"},
		},
		"a skip fails in CI": {
			body:    passes + skips,
			noSkips: true,
			code:    1,
			want:    []string{"tests were skipped although CI=true"},
		},
		"the process ends in a test": {
			body: exits,
			code: 1,
			want: []string{"last words", "1 packages, 1 failed"},
		},
		"a build fails": {
			body: breaks,
			code: 1,
			want: []string{"t.Nonsense undefined", "1 packages, 1 failed"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			imports := "import \"testing\"\n"
			if strings.Contains(test.body, "fmt.") {
				imports = "import (\n\"fmt\"\n\"os\"\n\"testing\"\n)\n"
			}
			var out bytes.Buffer
			code := do(bytes.NewReader(goTest(t, "package x\n"+imports+test.body)), &out, test.noSkips)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, text := range test.want {
				if !strings.Contains(out.String(), text) {
					t.Errorf("%q is missing", text)
				}
			}
			for _, text := range test.wantNone {
				if strings.Contains(out.String(), text) {
					t.Errorf("%q is printed", text)
				}
			}
			if t.Failed() {
				t.Logf("output:\n%s", out.String())
			}
		})
	}
}

func TestNothingToReadIsAFailure(t *testing.T) {
	var out bytes.Buffer
	if code := do(strings.NewReader(""), &out, false); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func goTest(t *testing.T, source string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module x\n\ngo 1.26\n", "x_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return out
}
