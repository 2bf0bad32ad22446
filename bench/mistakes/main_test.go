package mistakes

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jobgen/jobgen/internal/pgtest"
)

// patience bounds every wait. What takes it all has failed.
const patience = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// eventually asks again and again until is says yes, and fails the test when
// it does not in time.
func eventually(t *testing.T, what string, is func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}
