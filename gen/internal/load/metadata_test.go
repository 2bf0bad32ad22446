package load

import (
	"errors"
	"testing"
)

func TestTheGoCommandsWordsAreShownPlainly(t *testing.T) {
	for in, want := range map[string]string{
		"err: exit status 1: stderr: go: updates to go.mod needed; to update it:\n\tgo mod tidy\n": "go.mod is not up to date; run go mod tidy -e, then jobgen again",
		"err: exit status 1: stderr: go: cannot find main module\n":                                "go: cannot find main module",
		"context deadline exceeded": "context deadline exceeded",
	} {
		if got := plain(errors.New(in)).Error(); got != want {
			t.Errorf("%q is shown as %q; want %q", in, got, want)
		}
	}
}
