package pgtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestNewestVersionComesFirst(t *testing.T) {
	root := t.TempDir()
	for _, version := range []string{"9.6", "15", "17"} {
		if err := os.MkdirAll(filepath.Join(root, version, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The test's own folder has a number in its path.
	t.Chdir(root)
	defer func(before []string) { packaged = before }(packaged)
	packaged = []string{"*/bin"}
	got := candidates()
	if want := []string{"17/bin", "15/bin", "9.6/bin"}; !slices.Equal(got[len(got)-3:], want) {
		t.Errorf("candidates end with %v, want %v", got[len(got)-3:], want)
	}
}

func TestMissingProgramSkipsButFailsInCI(t *testing.T) {
	missing := fmt.Errorf("pgtest: start: %w", &MissingError{Program: "pgbouncer", Install: "apt-get install pgbouncer"})
	for _, test := range []struct {
		err          error
		ci           string
		skip, failed bool
	}{
		{nil, "true", false, false},
		{missing, "", true, false},
		{missing, "true", false, true},
		{errors.New("initdb: disk full"), "", false, true},
	} {
		t.Setenv("CI", test.ci)
		tb := &recorder{TB: t}
		skipOrFail(tb, test.err)
		if tb.skipped != test.skip || tb.failed != test.failed {
			t.Errorf("%v with CI=%q: skipped %v, failed %v; want %v, %v", test.err, test.ci, tb.skipped, tb.failed, test.skip, test.failed)
		}
		if test.skip && !strings.Contains(tb.said, "run: apt-get install pgbouncer") {
			t.Errorf("said %q, which doesn't tell what to run", tb.said)
		}
	}
}

// recorder is a testing.TB on which a test's end is only noted.
type recorder struct {
	testing.TB
	skipped, failed bool
	said            string
}

func (r *recorder) Skip(args ...any)  { r.skipped, r.said = true, fmt.Sprint(args...) }
func (r *recorder) Fatal(args ...any) { r.failed, r.said = true, fmt.Sprint(args...) }
