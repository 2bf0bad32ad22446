package check

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// checkChain checks a module that can import a runtime of three types.
func checkChain(t *testing.T, files map[string]string) (*model.Module, []diag.Diagnostic) {
	t.Helper()
	files["go.mod"] = "module example.com/shop\n\ngo 1.26\n\nrequire github.com/jobgen/jobgen v0.0.0\n\nreplace github.com/jobgen/jobgen => ./rt\n"
	files["rt/go.mod"] = "module github.com/jobgen/jobgen\n\ngo 1.26\n"
	files["rt/runtime/runtime.go"] = `package jobrt

type None struct{}

type Failure struct{ Message string }

type Outcome[P any] struct {
	Value   P
	Failure *Failure
}
`
	return checkFiles(t, files)
}

// parentsOf words the parents of a job.
func parentsOf(m *model.Module, name string) string {
	i := slices.IndexFunc(m.Jobs, func(j *model.Job) bool { return j.GoName() == name })
	if i < 0 {
		return "no such job"
	}
	j := m.Jobs[i]
	words := []string{j.Enqueue()}
	if j.NoneParam {
		words = append(words, "none")
	}
	if j.Args != nil {
		words = append(words, j.Args.Name.Name)
	}
	for _, p := range j.Parents {
		word := p.Kind.String() + " " + p.Name
		if p.Type != nil {
			word += " " + p.Type.Name.Name
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func codesOf(diags []diag.Diagnostic) []string {
	var codes []string
	for _, d := range diags {
		codes = append(codes, d.Code+" "+d.Message)
	}
	return codes
}

// TestParentsAreFoundHoweverTheyAreWritten has parents behind aliases, dot imports and grouped names.
func TestParentsAreFoundHoweverTheyAreWritten(t *testing.T) {
	m, diags := checkChain(t, map[string]string{
		"types/types.go": `package types

import jobrt "github.com/jobgen/jobgen/runtime"

type Args struct{ A int }
type Out struct{ B int }
type Also = Out
type End[P any] = jobrt.Outcome[P]
type Ends = []End[Also]
type Nothing = jobrt.None
type Broken = jobrt.Failure
`,
		"jobs/jobs.go": `package jobs

import (
	"context"

	. "example.com/shop/types"
	j "github.com/jobgen/jobgen/runtime"
)

//job:handler
func First(context.Context, Args) (Also, error) { return Out{}, nil }

//job:handler
func Grouped(_ context.Context, _ Args, a, b Out) error { return nil }

//job:handler
func Aliased(_ context.Context, ends Ends) error { return nil }

//job:handler
func None(_ context.Context, _ Nothing, one End[Out]) error { return nil }

//job:handler
func Failed(_ context.Context, f Broken) error { return nil }

//job:handler
func Order(_ context.Context, o j.Outcome[j.None], more []j.Outcome[Also]) error { return nil }

//job:handler
func Pipe(context.Context, Out) (Out, error) { return Out{}, nil }

//job:unique=B
func Unique(context.Context, Out) error { return nil }
`,
	})
	if len(diags) > 0 {
		t.Fatalf("diagnostics %q", codesOf(diags))
	}
	for name, want := range map[string]string{
		"jobs.First":   "EnqueueFirst, Args",
		"jobs.Grouped": "EnqueueGroupedAfter, Args, value a Out, value b Out",
		"jobs.Aliased": "EnqueueAliasedAfterAllEnd, outcomes ends Out",
		"jobs.None":    "EnqueueNoneAfterEnd, none, outcome one Out",
		"jobs.Failed":  "EnqueueFailedAfterFailure, failure f",
		"jobs.Order":   "EnqueueOrderAfterAllEnd, outcome o, outcomes more Out",
		"jobs.Pipe":    "EnqueuePipe, Out",
	} {
		if diff := cmp.Diff(want, parentsOf(m, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, j := range m.Jobs {
		if want := j.GoName() == "jobs.Pipe"; j.From != want {
			t.Errorf("%s: From is %v", j.GoName(), j.From)
		}
	}
}

// TestNothingIsSaidOfParentsWhileResultsAreUnknown leaves open what a job returns whose signature can't be read.
func TestNothingIsSaidOfParentsWhileResultsAreUnknown(t *testing.T) {
	_, diags := checkChain(t, map[string]string{
		"jobs/jobs.go": `package jobs

import "context"

type Out struct{ B int }

//job:handler
func First(context.Context) (Ou, error) { return Out{}, nil }

//job:handler
func Next(context.Context, []Out) error { return nil }
`,
	})
	if codes := codesOf(diags); len(codes) != 1 || !strings.HasPrefix(codes[0], "JG009 undefined: Ou") {
		t.Errorf("diagnostics %q", codes)
	}
}

// TestContinuationsAreFoundByEveryName names jobs of the package, of the receiver and of other packages.
func TestContinuationsAreFoundByEveryName(t *testing.T) {
	m, diags := checkChain(t, map[string]string{
		"jobs/jobs.go": `package jobs

import "context"

type Service struct{}

type Same = Service

type Other struct{}

//job:then=Plain,Method,Other.Method,Same.Aliased,mail.Send,mail.Service.Send
func (s *Service) First(context.Context) error { return nil }

//job:handler
func Plain(context.Context) error { return nil }

//job:stub=ServiceMethod
func (s Same) Method(context.Context) error { return nil }

//job:stub=OtherMethod
func (o Other) Method(context.Context) error { return nil }

//job:handler
func (s *Same) Aliased(context.Context) error { return nil }
`,
		"mail/mail.go": `package mail

import "context"

type Service struct{}

//job:stub=MailSend
func Send(context.Context) error { return nil }

//job:handler
func (Service) Send(context.Context) error { return nil }
`,
	})
	if len(diags) > 0 {
		t.Fatalf("diagnostics %q", codesOf(diags))
	}
	var got []string
	for _, j := range m.Jobs {
		for _, n := range j.Next {
			got = append(got, n.Job.Stub)
		}
	}
	want := []string{"Plain", "ServiceMethod", "OtherMethod", "Aliased", "MailSend", "Send"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("continuations (-want +got):\n%s", diff)
	}
}

// TestUpgradesAreFoundBesideTheTypeBehindAliases has an argument type of another package under another name.
func TestUpgradesAreFoundBesideTheTypeBehindAliases(t *testing.T) {
	files := map[string]string{
		"types/types.go": `package types

type Args struct{ A int }

type ArgsV1 struct{ A string }

func UpgradeArgs(old ArgsV1) (Args, error) { return Args{}, nil }
`,
		"alias/alias.go": "package alias\n\nimport \"example.com/shop/types\"\n\ntype Input = types.Args\n",
		"jobs/jobs.go": `package jobs

import (
	"context"

	"example.com/shop/alias"
)

type Mine = alias.Input

//job:version=2
func Send(ctx context.Context, a Mine) error { return nil }
`,
	}
	m, diags := checkChain(t, files)
	if len(diags) > 0 || len(m.Jobs) != 1 || len(m.Jobs[0].Upgrades) != 1 {
		t.Fatalf("diagnostics %q, jobs %+v", codesOf(diags), m.Jobs)
	}
	u := m.Jobs[0].Upgrades[0]
	if u.Version != 1 || u.To != 2 || !u.Fails || u.Func.String() != "types.UpgradeArgs" || u.Type.Name.Name != "ArgsV1" || u.Schema.Fingerprint == "" {
		t.Errorf("upgrade %+v", u)
	}
}
