package templates_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/model"
	"github.com/jobgen/jobgen/gen/internal/torture/kinds"
	otherkinds "github.com/jobgen/jobgen/gen/internal/torture/other/kinds"
	"github.com/jobgen/jobgen/gen/templates"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	tortureModule  = "github.com/jobgen/jobgen"
	torturePath    = tortureModule + "/gen/internal/torture"
	billingPath    = torturePath + "/billing"
	generatedFiles = "../internal/torture/gen"
)

// tortureModel describes the module in gen/internal/torture.
func tortureModel() *model.Module {
	d := newDescriber()
	billing := func(name string) model.Name { return model.Name{Path: billingPath, Pkg: "billing", Name: name} }
	typ := func(v any) *model.Type { return d.of(reflect.TypeOf(v)) }
	field := func(t *model.Type, steps ...string) model.FieldRef {
		var ref model.FieldRef
		for _, s := range steps {
			if t.Kind == model.Pointer {
				t = t.Elem
			}
			i := slices.IndexFunc(t.Fields, func(f *model.Field) bool { return f.Name == s })
			t = t.Fields[i].Type
			ref.Steps = append(ref.Steps, model.FieldStep{Name: s, Type: t})
		}
		return ref
	}
	service := &model.Dep{Field: "BillingService", Type: billing("Service")}
	clock := &model.Dep{Field: "BillingClock", Type: billing("Clock")}
	scalars, nested, omitZero := typ(kinds.Scalars{}), typ(kinds.Nested{}), typ(kinds.OmitZero{})

	job := func(fn string, dep *model.Dep, pointer bool, args, result *model.Type, edit func(*model.Job)) *model.Job {
		j := &model.Job{
			Name: "torture/billing." + fn, Stub: fn, Func: billing(fn), Args: args, Result: result,
			Settings: model.Settings{Queue: "default", Priority: model.DefaultPriority, Retry: model.DefaultRetry, Version: 1},
		}
		if dep != nil {
			j.Name = "torture/billing." + dep.Type.Name + "." + fn
			j.Receiver = &model.Receiver{Type: dep.Type, Pointer: pointer, Dep: dep}
		}
		if args != nil {
			j.ArgsSchema.Fingerprint = fingerprint(args)
		}
		if result != nil {
			j.ResultSchema.Fingerprint = fingerprint(result)
		}
		if edit != nil {
			edit(j)
		}
		return j
	}
	jobs := []*model.Job{
		job("SendInvoice", service, true, scalars, typ(kinds.Line{}), func(j *model.Job) {
			j.Doc = []string{"SendInvoice renders an invoice.", "", "It has a list:", "", "\ta code block \"with quotes\""}
			s := &j.Settings
			s.Queue, s.Retry, s.Timeout, s.Tags = "billing", 3, 30*time.Second, []string{"money", "mail"}
			s.Unique = &model.Unique{Fields: []model.FieldRef{field(scalars, "Int64"), field(scalars, "String")}, For: time.Hour}
			s.Permanent = []model.ErrorRef{{Name: billing("ErrBadAddress")}, {Name: billing("AddressError"), IsType: true, Pointer: true}}
			s.Backoff = model.Backoff{Kind: model.BackoffLinear, Base: 1500 * time.Millisecond}
			s.Declared = []model.Setting{{Key: "owner", Value: "Ann \"A\" `B`"}, {Key: "queue", Value: "billing"}, {Key: "tags", Value: `a"b`}}
		}),
		job("CloseMonth", service, true, nil, nil, func(j *model.Job) {
			j.Settings.Queue, j.Settings.Priority = "reports", 2
			j.Settings.Delays = []time.Duration{time.Second, time.Minute, 2 * time.Hour}
		}),
		job("Tick", clock, false, nil, typ(otherkinds.Line{}), func(j *model.Job) {
			j.Doc = []string{"Tick has neither arguments nor dependencies that may change."}
			j.Settings.Deprecated, j.Settings.Unique = "use CloseMonth", &model.Unique{All: true}
		}),
		job("Fan", nil, false, nested, nil, func(j *model.Job) {
			j.Doc = []string{"Fan enqueues itself, which a descriptor that held its handler would not allow."}
			j.Settings.Keep = true
		}),
		job("Deep", nil, false, nested, typ(kinds.Page[kinds.Line]{}), func(j *model.Job) {
			j.Settings.Unique = &model.Unique{Fields: []model.FieldRef{
				field(nested, "Anonymous", "X"), field(nested, "Pointer", "SKU"), field(nested, "ByName"),
			}}
		}),
		job("Named", nil, false, typ(kinds.Named{}), typ(kinds.Optional{}), nil),
		job("OmitZero", nil, false, omitZero, omitZero, func(j *model.Job) { j.Settings.Unique = &model.Unique{All: true} }),
		job("Embedded", nil, false, typ(kinds.Embedded{}), typ(kinds.Methods{}), func(j *model.Job) {
			j.Settings.Aliases = []string{"torture/old.Embedded"}
		}),
		job("Words", nil, false, typ(kinds.Words{}), typ(kinds.Empty{}), nil),
		job("Private", nil, false, typ(kinds.Private{}), typ(kinds.Money{}), nil),
		job("Hidden", nil, false, typ(kinds.Hidden{}), typ(otherkinds.Line{}), nil),
	}
	sortJobs(jobs)
	return &model.Module{
		Path: tortureModule, Service: "torture", OutPath: torturePath + "/gen", OutName: "gen", WorkerDir: "worker",
		Packages: []*model.Package{{Path: billingPath, Name: "billing", Stem: "billing", Jobs: jobs}},
		Jobs:     jobs,
		Queues: []*model.Queue{
			{Name: "billing", Workers: 3, Declared: []model.Setting{{Key: "owner", Value: "billing-team"}, {Key: "workers", Value: "3"}}},
			{Name: "reports"},
		},
		Deps:    []*model.Dep{clock, service},
		Imports: d.importList(billingPath),
	}
}

func sortJobs(jobs []*model.Job) {
	slices.SortFunc(jobs, func(a, b *model.Job) int { return strings.Compare(a.Name, b.Name) })
}

// fingerprint stands in for the wire schema's.
func fingerprint(t *model.Type) string {
	return strings.Repeat(string("0123456789abcdef"[len(t.Fields)%16]), 16)
}

func render(t *testing.T, m *model.Module) map[string]string {
	t.Helper()
	files, err := templates.Render(m)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string, len(files))
	for name, src := range files {
		out[name] = string(src)
	}
	return out
}

func TestRenderWritesTheCheckedInFiles(t *testing.T) {
	got := render(t, tortureModel())
	if *update {
		for name, src := range got {
			file := filepath.Join(generatedFiles, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(src), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := make(map[string]string)
	for _, pattern := range []string{"*.go", "worker/*.go"} {
		matches, err := filepath.Glob(filepath.Join(generatedFiles, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range matches {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(generatedFiles, file)
			if err != nil {
				t.Fatal(err)
			}
			want[filepath.ToSlash(rel)] = string(src)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("generated files differ from the checked-in ones; go test ./gen/templates -update writes them (-want +got):\n%s", diff)
	}
	if len(got) < 5 {
		t.Errorf("rendered %v", slices.Sorted(maps.Keys(got)))
	}
}
