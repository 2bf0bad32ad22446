package jobrt

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRetentionClassesComeFromTheCatalogue(t *testing.T) {
	kind := func(name string, settings ...Setting) KindInfo { return KindInfo{Kind: name, Settings: settings} }
	got := retentionOf([]KindInfo{
		kind("plain", Setting{"queue", "q"}),
		kind("short", Setting{"keep-for", "0s"}),
		kind("long", Setting{"dead-for", "720h0m0s"}, Setting{"keep-for", "8760h0m0s"}),
		kind("dead", Setting{"dead-for", "24h0m0s"}),
		kind("newer", Setting{"keep-for", "3 moons"}),
	}, time.Hour)
	want := Retention{History: time.Hour, Classes: []RetentionClass{
		{Kind: "short"},
		{Kind: "long", History: 8760 * time.Hour, Dead: 720 * time.Hour},
		{Kind: "dead", History: time.Hour, Dead: 24 * time.Hour},
		{Kind: "newer", History: MaxExpires},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.Shortest() != 0 || got.Check() != nil {
		t.Errorf("shortest %v, check %v", got.Shortest(), got.Check())
	}
	for _, bad := range []Retention{
		{History: -1}, {Classes: []RetentionClass{{Kind: "a", Dead: -1}}}, {Classes: []RetentionClass{{Kind: "a"}, {Kind: "a"}}},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
