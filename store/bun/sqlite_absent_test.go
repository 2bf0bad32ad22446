//go:build jobgen_nosqlite

package bunstore

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenWithoutSQLiteNamesTheBuildTag(t *testing.T) {
	s, err := Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "jobs.db"))
	if err == nil || !strings.Contains(err.Error(), "jobgen_nosqlite") {
		t.Errorf("open: %v, %v; want an error that names the build tag", s, err)
	}
}
