package jobtest_test

import (
	"testing"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
	"github.com/jobgen/jobgen/runtime/storetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Open: func(testing.TB) jobrt.Store { return jobtest.NewMemory() },
		Advance: func(_ testing.TB, s jobrt.Store, d time.Duration) {
			s.(*jobtest.Memory).Advance(d)
		},
		BeginTx: func(_ testing.TB, s jobrt.Store) (jobrt.Tx, func() error, func() error) {
			tx := s.(*jobtest.Memory).Begin()
			return tx, tx.Commit, tx.Rollback
		},
		Parallel: true,
	})
}
