package storetest

import (
	"testing"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Harness makes the stores that the cases use. Its functions report failures to tb and are called from the test's own
// goroutine. Open and Advance are required.
type Harness struct {
	// Open returns a fresh, empty store that nobody else uses. The harness closes it at tb's cleanup.
	Open func(tb testing.TB) jobrt.Store
	// Advance makes d pass for s: a fake clock moves, or every stored instant is set d back (due times, leases, ends,
	// the windows of unique keys, duties). Instants inside ids stay.
	Advance func(tb testing.TB, s jobrt.Store, d time.Duration)
	// BeginTx begins a transaction of a caller, in which Insert and Finish of s can join. Exactly one of commit and
	// rollback is called. Nil for a store without such transactions: then their cases are left out.
	BeginTx func(tb testing.TB, s jobrt.Store) (tx jobrt.Tx, commit, rollback func() error)
	// Reopen returns a second handle on the data of s, as another process would have one. The harness closes it at tb's
	// cleanup. Nil: the cases use s itself.
	Reopen func(tb testing.TB, s jobrt.Store) jobrt.Store
	// SingleWriter says that an open caller's transaction with a write keeps every other writer waiting, as in SQLite.
	// Cases that write beside an open transaction then accept that the other call fails after a bounded wait.
	SingleWriter bool
	// Parallel runs the cases side by side, each on a store of its own.
	Parallel bool
}

// testCase is one sentence of the contract.
type testCase struct {
	name string
	run  func(e *env)
	// tx marks a case that needs BeginTx.
	tx bool
}

// Run runs all cases as subtests of t, grouped by theme.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil || h.Advance == nil {
		t.Fatal("storetest: Harness.Open and Harness.Advance are required")
	}
	for _, theme := range []struct {
		name  string
		cases []testCase
	}{
		{"Insert", insertCases},
		{"Resend", resendCases},
		{"Unique", uniqueCases},
		{"UniqueScope", scopeCases},
		{"Replace", replaceCases},
		{"Claim", claimCases},
		{"Lease", leaseCases},
		{"Finish", finishCases},
		{"Stale", staleCases},
		{"Poison", poisonCases},
		{"Rescue", rescueCases},
		{"Schedule", scheduleCases},
		{"Schedules", schedulesCases},
		{"Retry", retryCases},
		{"Tx", txCases},
		{"Inspect", inspectCases},
		{"Upkeep", upkeepCases},
		{"Service", serviceCases},
		{"Graph", graphCases},
		{"Release", releaseCases},
		{"Inputs", inputCases},
		{"Refuse", refuseCases},
		{"Cycle", cycleCases},
		{"Fan", fanCases},
		{"Batch", batchCases},
		{"BatchEnd", batchEndCases},
		{"Effect", effectCases},
		{"EffectTx", effectTxCases},
		{"Operate", operateCases},
		{"Bulk", bulkCases},
		{"Edit", editCases},
		{"Stats", statCases},
		{"Control", controlCases},
		{"Steps", stepCases},
		{"Outbox", outboxCases},
		{"Builds", buildCases},
		{"Notes", noteCases},
		{"Breaker", breakerCases},
		{"Loops", loopCases},
		{"Limits", limitCases},
		{"Keep", keepCases},
		{"Model", modelCases},
	} {
		t.Run(theme.name, func(t *testing.T) {
			for _, c := range theme.cases {
				if c.tx && h.BeginTx == nil {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					if h.Parallel {
						t.Parallel()
					}
					c.run(newEnv(t, h))
				})
			}
		})
	}
}
