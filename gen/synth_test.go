package gen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// synthesize writes a module of handler packages into a new directory: a chain
// in which each package imports the next, a receiver that holds an *http.Client
// and a *bun.DB, and handlers that call generated code which doesn't exist yet.
func synthesize(tb testing.TB, packages, jobs int) string {
	tb.Helper()
	dir := tb.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		tb.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		tb.Fatal(err)
	}
	write := func(name, text string) {
		tb.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	write("go.sum", string(sum))
	write("go.mod", "module example.com/big\n\ngo 1.26\n\nrequire github.com/jobgen/jobgen v0.0.0\n\nreplace github.com/jobgen/jobgen => "+root+"\n")
	write("doc.go", "package big\n\n//go:generate jobgen\n//job:defaults retry=5\n\n//jobqueue:work workers=5 owner=tests\n")
	for p := range packages {
		types := fmt.Sprintf("package types%d\n\nimport \"time\"\n\ntype Line struct {\n\tSKU string `json:\"sku\"`\n\tQty int\n}\n\n", p)
		handlers := fmt.Sprintf("package jobs%d\n\nimport (\n\t\"context\"\n\t\"errors\"\n\t\"net/http\"\n\n\t\"github.com/uptrace/bun\"\n\n\t\"example.com/big/gen\"\n\t\"example.com/big/types%d\"\n", p, p)
		if p+1 < packages {
			handlers += fmt.Sprintf("\t\"example.com/big/jobs%d\"\n", p+1)
		}
		handlers += ")\n\nvar ErrGone = errors.New(\"gone\")\n\ntype Service struct {\n\tDB   *bun.DB\n\tHTTP *http.Client\n}\n\n"
		if p+1 < packages {
			handlers += fmt.Sprintf("func next(s *jobs%d.Service) { _ = s }\n\n", p+1)
		}
		for j := range jobs {
			name := fmt.Sprintf("Do%dX%d", p, j)
			types += fmt.Sprintf("type %s struct {\n\tID    int64     `json:\"id\"`\n\tEmail string    `json:\"email\" job:\"secret\"`\n\tAt    time.Time `json:\"at\"`\n\tLines []Line    `json:\"lines\"`\n}\n\n", name)
			handlers += fmt.Sprintf("// %s works.\n//\n//job:queue=work retry=3 timeout=30s unique=ID permanent=ErrGone\nfunc (s *Service) %s(ctx context.Context, a types%d.%s) error {\n\t_, err := gen.Enqueue%s(ctx, a)\n\treturn err\n}\n\n", name, name, p, name, name)
		}
		write(fmt.Sprintf("types%d/types.go", p), types)
		write(fmt.Sprintf("jobs%d/jobs.go", p), handlers)
	}
	return dir
}

// offline makes the go command use the local module cache only.
func offline(tb testing.TB) {
	tb.Helper()
	for _, kv := range []string{"GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off", "GOTOOLCHAIN=local"} {
		name, value, _ := strings.Cut(kv, "=")
		if b, ok := tb.(*testing.B); ok {
			b.Setenv(name, value)
		} else if t, ok := tb.(*testing.T); ok {
			t.Setenv(name, value)
		}
	}
}

// goEnv returns a variable of the go command.
func goEnv(tb testing.TB, name string) string {
	tb.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
