package check

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// settingsOf checks a module with one job and returns its settings.
func settingsOf(t *testing.T, module, pkg, job string) model.Settings {
	t.Helper()
	doc := "package shop\n\n//go:generate jobgen\n"
	if module != "" {
		doc += "//job:defaults " + module + "\n"
	}
	text := "package jobs\n\nimport (\n\t\"context\"\n\t\"io\"\n)\n\nvar _ = io.EOF\n\n"
	if pkg != "" {
		text = "//job:defaults " + pkg + "\n" + text
	}
	m, diags := checkFiles(t, map[string]string{
		"doc.go":       doc,
		"jobs/jobs.go": text + "type Args struct{ ID int }\n\n//job:" + job + "\nfunc Send(ctx context.Context, a Args) error { return nil }\n",
	})
	if len(diags) > 0 || len(m.Jobs) != 1 {
		t.Fatalf("%d jobs, diagnostics %+v", len(m.Jobs), diags)
	}
	return m.Jobs[0].Settings
}

// TestUniqueSettings checks what the keys of conflicts become, and that debounce needs and excludes others.
func TestUniqueSettings(t *testing.T) {
	for text, want := range map[string]model.Unique{
		"unique unique-until=started on-conflict=replace": {All: true, Until: "started", Replace: true},
		"unique unique-until=resolved":                    {All: true, Until: "resolved"},
		"unique unique-until=ended on-conflict=keep":      {All: true},
		"unique debounce=10s debounce-max=1m":             {All: true, Debounce: 10 * time.Second, DebounceMax: time.Minute},
	} {
		if diff := cmp.Diff(&want, settingsOf(t, "", "", text).Unique); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"unique-until=started":                    "unique-until does nothing without unique",
		"on-conflict=replace":                     "on-conflict does nothing without unique",
		"debounce=10s":                            "debounce does nothing without unique",
		"unique debounce-max=10s":                 "debounce-max does nothing without debounce",
		"unique debounce=10s unique-for=1h":       "debounce and unique-for exclude each other: debounce holds the key until the start, and replaces",
		"unique debounce=10s on-conflict=replace": "debounce and on-conflict exclude each other: debounce holds the key until the start, and replaces",
		"unique debounce=10s every=1h":            "debounce and every exclude each other: a run of a schedule has its time",
		"unique debounce=10s debounce-max=5s":     "debounce-max 5s is shorter than debounce 10s",
	} {
		_, diags := checkFiles(t, map[string]string{
			"doc.go": "package shop\n\n//go:generate jobgen\n",
			"jobs/jobs.go": "package jobs\n\nimport \"context\"\n\ntype Args struct{ ID int }\n\n//job:" + text +
				"\nfunc Send(ctx context.Context, a Args) error { return nil }\n",
		})
		if !slices.ContainsFunc(diags, func(d diag.Diagnostic) bool { return d.Message == want }) {
			t.Errorf("%s: diagnostics %+v, want %q", text, diags, want)
		}
	}
}

func TestDefaultsOfTheTable(t *testing.T) {
	got := settingsOf(t, "", "", "handler")
	want := model.Settings{Queue: "default", Priority: 5, Retry: 10, Version: 1, Declared: []model.Setting{{Key: "handler", Value: "true"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEverySettingWithAnEngineIsTyped(t *testing.T) {
	got := settingsOf(t, "", "", `queue=billing priority=2 retry=3 backoff=linear backoff-base=1s backoff-max=1m backoff-jitter=full breaker=10 breaker-wait=1m timeout=30s permanent=io.EOF unique=ID unique-for=24h tags=b,a keep deprecated="use another" alias=old.Send`)
	if !got.Has("timeout") || got.Has("delays") {
		t.Error("Has is wrong about timeout or delays")
	}
	got.Unique.Fields[0].Steps[0].Type = nil
	got.Declared = nil
	want := model.Settings{
		Queue: "billing", Priority: 2, Retry: 3, Timeout: 30 * time.Second,
		Backoff:   model.Backoff{Kind: model.BackoffLinear, Base: time.Second, Max: time.Minute, Jitter: "full"},
		Breaker:   model.Breaker{Failures: 10, Wait: time.Minute},
		Permanent: []model.ErrorRef{{Name: model.Name{Path: "io", Pkg: "io", Name: "EOF"}}},
		Unique:    &model.Unique{Fields: []model.FieldRef{{Steps: []model.FieldStep{{Name: "ID"}}}}, For: 24 * time.Hour},
		Tags:      []string{"b", "a"}, Keep: true, Version: 1, Deprecated: "use another", Aliases: []string{"shop/old.Send"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestTheMoreSpecificSettingWins checks the order module, package, job, also
// where one setting replaces another.
func TestTheMoreSpecificSettingWins(t *testing.T) {
	delays := []time.Duration{time.Minute, 5 * time.Minute}
	tests := []struct {
		name             string
		module, pkg, job string
		retry            int
		delays           []time.Duration
		queue            string
	}{
		{"module only", "retry=1 queue=a", "", "handler", 1, nil, "a"},
		{"package over module", "retry=1 queue=a", "retry=2", "handler", 2, nil, "a"},
		{"job over package", "retry=1", "retry=2 queue=b", "retry=3 queue=c", 3, nil, "c"},
		{"delays give retry", "", "", "delays=1m,5m", 2, delays, "default"},
		{"delays beside retry", "", "", "delays=1m,5m retry=7", 7, delays, "default"},
		{"delays over a default retry", "retry=9", "", "delays=1m,5m", 2, delays, "default"},
		{"retry over default delays", "delays=1m,5m", "", "retry=9", 9, delays, "default"},
		{"backoff over default delays", "delays=1m,5m", "", "backoff=linear", 10, nil, "default"},
		{"delays over default backoff", "backoff=linear", "", "delays=1m,5m", 2, delays, "default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := settingsOf(t, tt.module, tt.pkg, tt.job)
			if s.Retry != tt.retry || !cmp.Equal(s.Delays, tt.delays) || s.Queue != tt.queue {
				t.Errorf("retry %d, delays %v, queue %s; want %d, %v, %s", s.Retry, s.Delays, s.Queue, tt.retry, tt.delays, tt.queue)
			}
		})
	}
}

func TestServiceOf(t *testing.T) {
	for path, want := range map[string]string{
		"example.com/shop": "shop", "example.com/shop/v2": "shop", "shop": "shop", "example.com/a b": "a-b", "v2": "v2", "gopkg.in/yaml.v3": "yaml.v3",
	} {
		if got := ServiceOf(path); got != want {
			t.Errorf("ServiceOf(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestStemsAreUnique(t *testing.T) {
	pkgs := []*model.Package{
		{Path: "example.com/a/billing", Name: "billing"}, {Path: "example.com/b/billing", Name: "billing"},
		{Path: "example.com/mail", Name: "mail"},
	}
	stems(pkgs)
	if pkgs[0].Stem != "a_billing" || pkgs[1].Stem != "b_billing" || pkgs[2].Stem != "mail" {
		t.Errorf("stems %q %q %q", pkgs[0].Stem, pkgs[1].Stem, pkgs[2].Stem)
	}
	pkgs = append(pkgs, &model.Package{Path: "example.com/x-y/z", Name: "z"}, &model.Package{Path: "example.com/xy/z", Name: "z"})
	stems(pkgs)
	seen := map[string]bool{}
	for _, p := range pkgs {
		if seen[p.Stem] || p.Stem == "" {
			t.Errorf("%s: stem %q is empty or taken", p.Path, p.Stem)
		}
		seen[p.Stem] = true
	}
}

func TestVisibleFollowsInternalDirectories(t *testing.T) {
	for _, tt := range []struct {
		from, pkg string
		want      bool
	}{
		{"m/gen", "m/jobs", true}, {"m/gen", "m/internal/jobs", true}, {"m/gen", "m/a/internal/jobs", false},
		{"m/a/gen", "m/a/internal", true}, {"m/a", "m/a/internal", true}, {"m/ab", "m/a/internal", false}, {"m/gen", "internal/x", true},
		{"m/gen", "m/a/internal/b/internal/c", false}, {"m/a/internal/b/gen", "m/a/internal/b/internal/c", true},
	} {
		if got := visible(tt.from, tt.pkg); got != tt.want {
			t.Errorf("visible(%q, %q) = %v", tt.from, tt.pkg, got)
		}
	}
}
