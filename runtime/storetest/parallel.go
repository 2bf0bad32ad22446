package storetest

import (
	"sync"
)

// inParallel runs do n times at once and fails the test with the errors they return.
func inParallel(e *env, n int, do func(i int) error) {
	e.Helper()
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	group.Wait()
	for i, err := range errs {
		if err != nil {
			e.Errorf("caller %d: %v", i, err)
		}
	}
	if e.Failed() {
		e.FailNow()
	}
}
