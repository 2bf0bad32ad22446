package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/diag"
)

// TestDeclarationsAreFollowed loads a module whose argument types reach their
// declarations in every way that Go has, past packages that don't exist.
func TestDeclarationsAreFollowed(t *testing.T) {
	m, diags := checkFiles(t, map[string]string{
		"jobs/handlers.go": `package jobs

import (
	"context"
	"net/http"

	. "example.com/shop/dotted"
	"example.com/shop/missing"
	other "example.com/shop/types"
	"example.com/shop/gen"
)

type Service struct {
	HTTP *http.Client
	Gone missing.Thing // not followed: dependencies are never stored
}

type Local = other.Args

//job:permanent=ErrLocal,other.ErrFar,other.Failure
func (s Service) Named(_ context.Context, a Local) (r other.Page, err error) {
	gen.Whatever(missing.Nothing)
	return
}

//job:handler
func (*Service) Dotted(context.Context, Dotted) error { return nil }

func unrelated(x missing.Other) missing.More { return undeclared }
`,
		"jobs/errors.go": `package jobs

import "fmt"

var ErrLocal, second = fmt.Errorf("a"), fmt.Errorf("b")
`,
		"dotted/dotted.go": "package dotted\n\nimport \"example.com/shop/missing\"\n\ntype Dotted struct{ A [Size]byte }\n\nconst (\n\tzero = iota\n\tone\n\tSize\n)\n\nvar X missing.X\n",
		"types/types.go": `package types

import (
	"time"

	"example.com/shop/missing"
)

type Args struct {
	Meta
	Items   Page
	Generic List[Item]
	Status  Status
	Limits  map[Status]Limit
	When    struct{ From, To time.Time }
}

type Meta struct{ TraceID string }

func (m Meta) Log() *missing.Logger { return nil }

type Page struct{ Items []Item }

type Item struct{ Price Money }

type List[T any] struct{ All []T }

type Status int

const (
	Open Status = iota
	Closed
)

type Limit uint8

type Money struct{ cents int64 }

func (m Money) MarshalText() ([]byte, error)     { return nil, nil }
func (m *Money) UnmarshalText(text []byte) error { return nil }

var ErrFar error = missing.New("far")

type Failure struct{}

func (f *Failure) Error() string { return "" }
`,
	})
	for _, d := range diags {
		t.Errorf("%s: %s [%s]", diag.Place("", d.Pos), d.Message, d.Code)
	}
	if len(m.Jobs) != 2 {
		t.Fatalf("%d jobs, want 2", len(m.Jobs))
	}
	dotted, named := m.Jobs[0], m.Jobs[1]
	if diff := cmp.Diff([]string{".A[2] uint8"}, dotted.ArgsSchema.Lines); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		".Generic.All[].Price text", ".Items.Items[].Price text", ".Limits{int} uint8", ".Status int", ".TraceID string",
		".When.From time", ".When.To time",
	}, named.ArgsSchema.Lines); diff != "" {
		t.Error(diff)
	}
	if got := named.Args.Go.String() + " " + named.Args.Fields[2].Type.Go.String(); got != "types.Args types.List[types.Item]" {
		t.Errorf("Go spelling %s", got)
	}
	if p := named.Args.Fields[0].Path; !cmp.Equal(p, []string{"Meta", "TraceID"}) {
		t.Errorf("path of a promoted field: %v", p)
	}
	var errs []string
	for _, e := range named.Settings.Permanent {
		s := e.Name.String()
		if e.Pointer {
			s = "*" + s
		}
		errs = append(errs, s)
	}
	if diff := cmp.Diff([]string{"jobs.ErrLocal", "types.ErrFar", "*types.Failure"}, errs); diff != "" {
		t.Error(diff)
	}
	if named.Receiver.Pointer || !dotted.Receiver.Pointer || named.Receiver.Dep != dotted.Receiver.Dep || len(m.Deps) != 1 || m.Deps[0].Field != "JobsService" {
		t.Errorf("receivers %+v %+v, deps %+v", named.Receiver, dotted.Receiver, m.Deps)
	}
	var imports []string
	for _, i := range m.Imports {
		imports = append(imports, i.Path)
	}
	if got := strings.Join(imports, " "); got != "example.com/shop/dotted example.com/shop/jobs example.com/shop/types time" {
		t.Errorf("imports %s", got)
	}
}

// TestCgoAndUnusualFiles checks files that other loaders stumble over.
func TestCgoAndUnusualFiles(t *testing.T) {
	t.Setenv("CGO_ENABLED", "1")
	m, diags := checkFiles(t, map[string]string{
		"jobs/a.go":   "\ufeffpackage jobs\n\nimport \"context\"\n\ntype Args struct{ ID int }\n\n//job:handler\nfunc A(ctx context.Context, a Args) error { return nil }\n",
		"jobs/c.go":   "package jobs\n\n// #include <stdio.h>\nimport \"C\"\n\nimport \"context\"\n\nfunc size() C.int { return 0 }\n\n//job:handler\nfunc C1(ctx context.Context) error { return nil }\n",
		"jobs/asm.go": "package jobs\n\nimport \"context\"\n\nfunc fast() int\n\n//job:handler\nfunc B(ctx context.Context, a Args) error { return nil } //job:handler\n",
	})
	var got []string
	for _, d := range diags {
		got = append(got, d.Code)
	}
	if diff := cmp.Diff([]string{"JG002"}, got); diff != "" { // the one at the end of a line
		t.Error(diff)
	}
	if len(m.Jobs) < 2 {
		t.Errorf("%d jobs", len(m.Jobs))
	}
}
