// Package mistake registers a worker that one system lacks.
package mistake

import "github.com/riverqueue/river"

func Register(workers *river.Workers) { river.AddWorker(workers, &PrintWorker{}) }
