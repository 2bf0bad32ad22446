//go:build unix

package readme

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"
)

// TestGuides plays the programs of the guides.
func TestGuides(t *testing.T) {
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, guide := range []string{"continuations.md", "upgrades.md"} {
		t.Run(guide, func(t *testing.T) {
			steps := load(t, filepath.Join(checkout, "docs", guide))
			if len(steps) == 0 {
				t.Fatal("the guide has no program")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			var log bytes.Buffer
			if err := Play(ctx, steps, checkout, &log); err != nil {
				t.Errorf("%s: %v\n\nwhat happened:\n%s", guide, err, log.String())
			}
		})
	}
}
