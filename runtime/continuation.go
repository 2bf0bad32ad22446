package jobrt

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// withContinuations returns jobs, all of one kind, followed by their continuations by annotation and those of these.
// schema is that of the jobs' arguments.
func withContinuations(jobs []NewJob, next []Next, schema string) ([]NewJob, error) {
	if len(next) == 0 {
		return jobs, nil
	}
	kind := jobs[0].Kind
	chain, err := continuationsOf(next, schema, []string{kind})
	if err != nil {
		return nil, err
	}
	for i := range len(jobs) {
		if jobs, err = appendContinuations(jobs, jobs[i], jobs[i].ID, chain); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// continuation is a [Next] with all that follows it.
type continuation struct {
	Next
	job  *erasedJob
	next []continuation
}

// continuationsOf resolves what follows a job whose arguments have the given schema. path are the kinds that lead to
// it.
func continuationsOf(next []Next, schema string, path []string) ([]continuation, error) {
	chain := make([]continuation, len(next))
	for i, n := range next {
		job := n.Job.erase()
		kind := job.names[0]
		if j := slices.Index(path, kind); j >= 0 {
			return nil, fmt.Errorf("continuations: %w: %s", ErrCycle, strings.Join(append(path[j:len(path):len(path)], kind), " is followed by "))
		}
		if n.SameArgs && job.schema != schema {
			return nil, fmt.Errorf("continuation %s takes other arguments than %s has", kind, path[len(path)-1])
		}
		after, err := continuationsOf(job.next, job.schema, append(path[:len(path):len(path)], kind))
		if err != nil {
			return nil, err
		}
		chain[i] = continuation{Next: n, job: job, next: after}
	}
	return chain, nil
}

// appendContinuations appends the continuations of parent to jobs, recursively. with is the job that decides whether
// they are stored: the nearest before them that may meet a unique key, else the first of all.
//
// Their ids are derived from the parent's, so that a call that is sent again stores nothing twice; apart from those that
// the parent's handler makes.
func appendContinuations(jobs []NewJob, parent NewJob, with ID, chain []continuation) ([]NewJob, error) {
	type twin struct {
		kind string
		on   Condition
	}
	twins := make(map[twin]int)
	for _, next := range chain {
		job, err := next.newJob(&parent)
		if err != nil {
			return nil, fmt.Errorf("continuation %s: %w", job.Kind, err)
		}
		t := twin{job.Kind, next.On}
		job.ID = childID(parent.ID, "then\x00"+string(next.On)+"\x00"+job.Kind, sha256.Sum256(job.Args), twins[t])
		twins[t]++
		job.With = with
		decides := with
		if job.UniqueKey != nil {
			decides = job.ID
		}
		jobs = append(jobs, job)
		if jobs, err = appendContinuations(jobs, job, decides, next.next); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// newJob makes one continuation, without its id.
func (next *continuation) newJob(parent *NewJob) (NewJob, error) {
	s := next.job.settings
	job := NewJob{
		Service: next.job.service, Kind: next.job.names[0], Queue: s.Queue, Priority: s.Priority, Args: []byte(noArgs),
		ArgsSchema: schemaOf(s.Version, next.job.schema), MaxRetries: s.MaxRetries, UniqueFor: s.UniqueFor, KeepResult: s.KeepResult,
		UniqueScope: s.UniqueUntil,
		Expires:     s.Expires, Tags: s.Tags, Origin: parent.Origin, Trace: parent.Trace, Batch: parent.Batch, Resend: parent.Resend,
		Parents: []Parent{{ID: parent.ID, On: next.On, Slot: seen(next.Slot, next.On)}},
	}
	from := next.Slot == SlotArgs
	if next.SameArgs {
		if source, ok := argsParent(parent.Parents); ok {
			from = true
			job.Parents = append(job.Parents, source)
		} else {
			job.Args = parent.Args
		}
	}
	switch {
	case next.SameArgs && next.Slot == SlotArgs:
		return job, errors.New("it cannot have both the arguments and the result of the job before")
	case s.Debounce > 0 || s.OnConflict != KeepHolder:
		return job, errors.New("it replaces the job that holds its unique key, and so cannot wait for another")
	case from && next.job.limitKey != nil:
		return job, errors.New("the key of its limits is made of arguments that only a result will tell")
	case from && next.job.uniqueKey != nil:
		return job, errors.New("its unique= is made of arguments that only a result will tell")
	}
	if next.job.limitKey != nil {
		var err error
		if job.LimitKey, err = next.job.limitKey(job.Args); err != nil {
			return job, fmt.Errorf("key of its limits: %w", err)
		}
	}
	if next.job.uniqueKey == nil {
		return job, nil
	}
	key, err := next.job.uniqueKey(job.Args)
	if err != nil {
		return job, fmt.Errorf("unique key: %w", err)
	}
	job.UniqueKey = uniqueKey(job.Kind, "args", key)
	return job, nil
}

// keepResults makes those jobs keep their results whose results others of the same call take.
func keepResults(jobs []NewJob) {
	var index map[ID]int
	for i := range jobs {
		for _, p := range jobs[i].Parents {
			if p.Slot == SlotNone || p.On == IfFailed {
				continue
			}
			if index == nil {
				index = indexJobs(jobs)
			}
			if j, ok := index[p.ID]; ok {
				jobs[j].KeepResult = true
			}
		}
	}
}

// indexJobs finds jobs by id.
func indexJobs(jobs []NewJob) map[ID]int {
	index := make(map[ID]int, len(jobs))
	for i := range jobs {
		index[jobs[i].ID] = i
	}
	return index
}
