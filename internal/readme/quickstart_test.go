//go:build unix

package readme

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"
)

// TestQuickstart is the test of the README itself.
func TestQuickstart(t *testing.T) {
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	steps := load(t, filepath.Join(checkout, "README.md"))
	if len(steps) == 0 {
		t.Fatal("README.md has no quickstart")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var log bytes.Buffer
	if err := Play(ctx, steps, checkout, &log); err != nil {
		t.Errorf("README.md: %v\n\nwhat happened:\n%s", err, log.String())
	}
}
