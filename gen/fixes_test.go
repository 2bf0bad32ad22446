package gen

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// faulty is a module in which every diagnostic has a fix.
var faulty = map[string]string{
	"go.mod": "module example.com/shop\n\ngo 1.26\n",
	"doc.go": "// Package shop is a shop.\n//\n//jobqueue:billing workers=5 owner=tests\npackage shop\n",
	"jobs/jobs.go": `package jobs

import (
	"context"
	"errors"
)

var ErrGone = errors.New("gone")

type Args struct {
	InvoiceID int64
	Customer  Customer
}

type Customer struct{ ID int64 }

// job: queue=billing
func NearMiss(ctx context.Context) error { return nil }

//job:queue=billing

func Detached(ctx context.Context) error { return nil }

//job:qeue=billing
func Key(ctx context.Context) error { return nil }

//job:queue=billing,retry=3
func Comma(ctx context.Context) error { return nil }

//job:queue=biling
func Queue(ctx context.Context) error { return nil }

//job:handler
func Pointer(ctx context.Context, a *Args) error { return nil }

//job:unique=InvoiceId,Customer.Id permanent=ErrGon
func Names(ctx context.Context, a Args) error { return nil }

//job:cron=0 2 1 * * tz=UTC // monthly
func Cron(ctx context.Context) error { return nil }

/*job:handler*/
func Block(ctx context.Context) error { return nil }
`,
}

// TestFixesResolveTheirDiagnostics applies what diagnostics propose until none
// is left, in files with either kind of line ending.
func TestFixesResolveTheirDiagnostics(t *testing.T) {
	for _, ending := range []string{"\n", "\r\n"} {
		offline(t)
		dir := t.TempDir()
		for name, text := range faulty {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "\n", ending)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for round := 1; ; round++ {
			res, err := List(context.Background(), Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if len(res.Diagnostics) == 0 {
				if len(res.Jobs) != 9 {
					t.Errorf("%d jobs after all fixes, want 9", len(res.Jobs))
				}
				break
			}
			if round == 1 && len(res.Diagnostics) < 10 {
				t.Errorf("%d diagnostics, want at least 10", len(res.Diagnostics))
			}
			if round > 3 {
				t.Fatalf("still %+v", res.Diagnostics)
			}
			apply(t, res.Diagnostics)
		}
	}
}

// apply makes the edits of all fixes, the last ones of a file first.
func apply(t *testing.T, ds []Diagnostic) {
	t.Helper()
	type edit = struct {
		file       string
		start, end int
		text       string
	}
	var edits []edit
	for _, d := range ds {
		if len(d.Fixes) == 0 {
			t.Errorf("no fix for %s [%s]", d.Message, d.Code)
			continue
		}
		for _, e := range d.Fixes[0].Edits {
			edits = append(edits, edit{e.File, e.Start, e.End, e.New})
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(b.start, a.start)) })
	last := edit{}
	for _, e := range edits {
		if e.file == last.file && e.end > last.start {
			continue // overlaps one that has been made; the next round will show it
		}
		last = e
		data, err := os.ReadFile(e.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(e.file, []byte(string(data[:e.start])+e.text+string(data[e.end:])), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
