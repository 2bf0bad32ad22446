package bunstore

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// keepDialect lists dead jobs and imports jobs.
type keepDialect interface {
	// deadJobs is given a filter with a limit. Rows are as scanDead wants them.
	deadJobs(ctx context.Context, f jobrt.Filter) ([]jobrt.Death, error)
	// lockImport keeps other imports waiting until the end of the transaction.
	lockImport(ctx context.Context, q querier) error
	// insertDead stores dead jobs, given as a JSON array of deadRecord, whose ids are unknown.
	insertDead(ctx context.Context, q querier, records string) error
}

// deadMessage is how many characters of an error DeadJobs returns.
const deadMessage = 300

// DeadJobs implements [jobrt.KeepStore].
func (s *Store) DeadJobs(ctx context.Context, f jobrt.Filter) ([]jobrt.Death, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 10_000)
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	jobs, err := s.d.deadJobs(ctx, f)
	return jobs, s.failed("dead jobs", err)
}

// scanDead reads id, kind, reason, fingerprint, finished_at, error.
func scanDead(r rows) (jobrt.Death, error) {
	var j jobrt.Death
	var fingerprint, message text
	var finished instant
	err := r.Scan(&j.ID, &j.Kind, &j.Reason, &fingerprint, &finished, &message)
	j.Fingerprint, j.FinishedAt, j.Message = string(fingerprint), finished.Time, string(message)
	return j, err
}

// RecordExport implements [jobrt.KeepStore].
func (s *Store) RecordExport(ctx context.Context, a jobrt.Actor, f jobrt.Filter) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.failed("record export", s.d.inWrite(ctx, func(q querier) error {
		return s.d.audit(ctx, q, a, "export secrets", "*", map[string]any{"filter": f})
	}))
}

// ImportJobs implements [jobrt.KeepStore].
func (s *Store) ImportJobs(ctx context.Context, a jobrt.Actor, jobs []jobrt.JobInfo) ([]jobrt.Imported, error) {
	if err := a.Check(); err != nil {
		return nil, s.failed("import", err)
	}
	news := make([]jobrt.NewJob, len(jobs))
	ids := make([]jobrt.ID, len(jobs))
	for i, j := range jobs {
		news[i], ids[i] = j.AsNew(), j.ID
		err := jobrt.CheckImport(j)
		if err == nil {
			err = checkNew(&news[i])
		}
		if err != nil {
			return nil, s.failed("import", err)
		}
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	results := make([]jobrt.Imported, len(jobs))
	err := s.d.inWrite(ctx, func(q querier) error {
		clear(results)
		if err := s.d.lockImport(ctx, q); err != nil {
			return err
		}
		places, err := s.d.lockJobs(ctx, q, sortedIDs(distinctIDs(ids)))
		if err != nil {
			return err
		}
		if len(distinctIDs(ids)) != len(ids) {
			return fmt.Errorf("an id occurs twice")
		}
		var live []int
		var dead []deadRecord
		var targets []string
		for i, j := range jobs {
			switch _, known := places[j.ID]; {
			case known:
			case j.State == jobrt.StateDead:
				record, err := newDeadRecord(j)
				if err != nil {
					return err
				}
				dead = append(dead, record)
				results[i].Stored = true
			default:
				live = append(live, i)
			}
		}
		if err := s.importLive(ctx, q, news, live, results); err != nil {
			return err
		}
		if len(dead) > 0 {
			text, err := json.Marshal(dead)
			if err != nil {
				return err
			}
			if err := s.d.insertDead(ctx, q, string(text)); err != nil {
				return err
			}
		}
		for i, r := range results {
			if r.Stored {
				targets = append(targets, "job:"+ids[i].String())
			}
		}
		return s.d.auditAll(ctx, q, a, "import", targets, nil)
	})
	if err != nil {
		return nil, s.failed("import", err)
	}
	return results, nil
}

// importLive stores those of some jobs that are to be live.
func (s *Store) importLive(ctx context.Context, q querier, news []jobrt.NewJob, live []int, results []jobrt.Imported) error {
	if len(live) == 0 {
		return nil
	}
	batch := make([]jobrt.NewJob, len(live))
	for at, i := range live {
		batch[at] = news[i]
	}
	plan, err := planInsert(batch)
	if err != nil {
		return err
	}
	stored, err := s.d.insert(ctx, q, nil, plan.jobs)
	if err != nil {
		return err
	}
	for at, r := range plan.results(stored) {
		if r.Existed {
			results[live[at]].Holder = r.ID
		} else {
			results[live[at]].Stored = true
		}
	}
	return nil
}

// deadRecord is a dead job as it is stored; times in microseconds.
type deadRecord struct {
	ID          string  `json:"id"`
	Service     string  `json:"service"`
	Kind        string  `json:"kind"`
	Queue       string  `json:"queue"`
	Reason      string  `json:"reason"`
	Priority    int     `json:"priority"`
	RunAt       int64   `json:"run_at"`
	CreatedAt   int64   `json:"created_at"`
	FinishedAt  int64   `json:"finished_at"`
	Attempt     int     `json:"attempt"`
	MaxRetries  int     `json:"max_retries"`
	Crashes     int     `json:"crashes"`
	LeaseSeq    int64   `json:"lease_seq"`
	Timeout     int64   `json:"timeout_us"`
	KeepResult  int     `json:"keep_result"`
	Schema      string  `json:"args_schema"`
	Key         *string `json:"unique_key"`
	Error       string  `json:"error"`
	Fingerprint *string `json:"fingerprint"`
	Args        string  `json:"args"`
	Tags        *string `json:"tags"`
	Origin      string  `json:"origin"`
	Expires     int64   `json:"expires_us"`
	Trace       *string `json:"trace"`
	LimitKey    *string `json:"limit_key"`
}

func newDeadRecord(j jobrt.JobInfo) (deadRecord, error) {
	n := j.AsNew()
	r := deadRecord{
		ID: j.ID.String(), Service: j.Service, Kind: j.Kind, Queue: j.Queue, Reason: string(j.Reason), Priority: j.Priority,
		RunAt: j.RunAt.UnixMicro(), CreatedAt: j.CreatedAt.UnixMicro(), FinishedAt: j.FinishedAt.UnixMicro(), Attempt: j.Attempt,
		MaxRetries: j.MaxRetries, Crashes: j.Crashes, LeaseSeq: j.LeaseSeq, Timeout: micros(j.Timeout), Schema: j.ArgsSchema,
		Error: j.Error, Fingerprint: orNil(j.Fingerprint), Args: string(j.Args), Expires: expiresMicros(&n), Trace: orNil(j.Trace),
		LimitKey: orNil(j.LimitKey), Key: orNil(hex.EncodeToString(j.UniqueKey)),
	}
	if j.KeepResult {
		r.KeepResult = 1
	}
	if len(j.Tags) > 0 {
		tags, err := json.Marshal(j.Tags)
		if err != nil {
			return r, err
		}
		r.Tags = orNil(string(tags))
	}
	origin, err := json.Marshal(j.Origin)
	r.Origin = string(origin)
	return r, err
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
