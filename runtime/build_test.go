package jobrt

import (
	"runtime/debug"
	"testing"
)

func TestABuildIsNamedByItsRevisionOrVersion(t *testing.T) {
	set := func(pairs ...string) []debug.BuildSetting {
		var s []debug.BuildSetting
		for i := 0; i < len(pairs); i += 2 {
			s = append(s, debug.BuildSetting{Key: pairs[i], Value: pairs[i+1]})
		}
		return s
	}
	for name, tc := range map[string]struct {
		info debug.BuildInfo
		want string
	}{
		"clean":    {debug.BuildInfo{Settings: set("vcs.revision", "0123456789abcdef0123", "vcs.modified", "false")}, "0123456789ab"},
		"dirty":    {debug.BuildInfo{Settings: set("vcs.modified", "true", "vcs.revision", "0123456789abcdef0123")}, "0123456789ab+dirty"},
		"released": {debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "v1.2.3"},
		"go run":   {debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, ""},
		"short":    {debug.BuildInfo{Settings: set("vcs.revision", "12")}, "12"},
	} {
		if got := buildOf(&tc.info); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
