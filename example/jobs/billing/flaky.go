package billing

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// errBusy is what mail servers say when they want to be left alone for a while.
var errBusy = errors.New("421 too busy, try again later")

// Flaky refuses a share of the deliveries before they reach the mailer. Which ones depends on the seed and on their
// names alone, so a run can be repeated. It is safe for concurrent use.
type Flaky struct {
	Mailer
	Share float64 // 0 to 1
	Seed  uint64
}

// Send implements Mailer.
func (f Flaky) Send(ctx context.Context, m *Mail) error {
	h := fnv.New64a()
	fmt.Fprint(h, m.Name)
	if rand.New(rand.NewPCG(f.Seed, h.Sum64())).Float64() < f.Share {
		return fmt.Errorf("smtp: %w (made up by -smtp-flaky)", errBusy)
	}
	return f.Mailer.Send(ctx, m)
}
