package jobrt

import (
	"runtime/debug"
	"sync"
)

// thisBuild names the running binary by what the go command has stamped into it: the first 12 digits of the revision,
// with "+dirty" when the tree had changes, else the main module's version. It is empty for go run, go test and builds
// with -buildvcs=false.
var thisBuild = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return buildOf(info)
})

func buildOf(info *debug.BuildInfo) string {
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision != "" {
		return revision + dirty
	}
	if info.Main.Version == "(devel)" {
		return ""
	}
	return info.Main.Version
}
