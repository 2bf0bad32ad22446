package bunstore

import (
	"context"
	"slices"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// Operate implements [jobrt.OperateStore].
func (s *Store) Operate(ctx context.Context, a jobrt.Actor, o jobrt.Operation, ids []jobrt.ID) ([]jobrt.Operated, error) {
	if err := a.Check(); err != nil {
		return nil, s.failed("operate", err)
	}
	if err := o.Check(); err != nil {
		return nil, s.failed("operate", err)
	}
	distinct := sortedIDs(distinctIDs(ids))
	if len(distinct) == 0 {
		return nil, nil
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var done map[jobrt.ID]jobrt.Operated
	err := s.d.inWrite(ctx, func(q querier) (err error) {
		done, err = operate(ctx, s.d, q, a, o, distinct)
		return err
	})
	if err != nil {
		return nil, s.failed(string(o.Do), err)
	}
	results := make([]jobrt.Operated, len(ids))
	for i, id := range ids {
		results[i] = done[id]
		results[i].ID = id
	}
	return results, nil
}

// place is where a job stands that is operated on.
type place struct {
	state jobrt.State
	queue string
	// asked is set when a running job is to be cancelled already.
	asked    bool
	priority int
}

// operate does one operation to distinct jobs, sorted by id, in a transaction. It decides what fits; the dialect locks
// and changes rows.
func operate(ctx context.Context, d dialect, q querier, a jobrt.Actor, o jobrt.Operation, ids []jobrt.ID) (map[jobrt.ID]jobrt.Operated, error) {
	places, err := d.lockJobs(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	done := make(map[jobrt.ID]jobrt.Operated, len(ids))
	var change, dead []jobrt.ID // what the operation fits: live jobs, and dead ones
	for _, id := range ids {
		at, known := places[id]
		switch {
		case !known:
			done[id] = jobrt.Operated{Err: jobrt.ErrNotFound}
			continue
		case at.as(o):
		case !o.Do.Fits(at.state):
			done[id] = jobrt.Operated{State: at.state, Queue: at.queue, Err: &jobrt.StateError{ID: id, Do: o.Do, State: at.state}}
			continue
		case at.state == jobrt.StateDead:
			dead = append(dead, id)
		default:
			change = append(change, id)
		}
		done[id] = jobrt.Operated{State: at.state, Queue: at.queue}
	}
	changed, err := d.changeJobs(ctx, q, a, o, change, dead, places)
	if err != nil {
		return nil, err
	}
	targets := make(map[jobrt.State][]string)
	for _, id := range ids {
		to, tried := changed[id]
		if !tried {
			continue
		}
		done[id] = to
		if was := places[id].state; to.Changed {
			targets[was] = append(targets[was], "job:"+id.String())
		}
	}
	for was, list := range targets {
		if err := d.auditAll(ctx, q, a, string(o.Do), list, operationDetail{was, o}); err != nil {
			return nil, err
		}
	}
	return done, nil
}

// operationDetail is what the audit tells of an operation.
type operationDetail struct {
	Was jobrt.State `json:"was"`
	jobrt.Operation
}

// as reports whether a job is as an operation wants it already.
func (at place) as(o jobrt.Operation) bool {
	switch o.Do {
	case jobrt.OpCancel:
		return at.state == jobrt.StateCancelled || at.asked
	case jobrt.OpRequeue:
		return at.state == jobrt.StateReady
	case jobrt.OpMove:
		return at.queue == o.Queue && o.Do.Fits(at.state)
	case jobrt.OpPriority:
		return at.priority == o.Priority && o.Do.Fits(at.state)
	}
	return false
}

// cancelledBy is the error of a job that an operator has cancelled.
func cancelledBy(a jobrt.Actor) string {
	return (&jobrt.CancelledError{By: a.Name, Reason: a.Reason}).Error()
}

// purgedBy is what those who wait for a dead job are told that an operator has removed.
func purgedBy(a jobrt.Actor) string { return "removed by " + a.String() }

// scanCancel reads id, lease_seq, cancel.
func scanCancel(r rows) (jobrt.CancelRequest, error) {
	var c jobrt.CancelRequest
	var by text
	err := r.Scan(&c.ID, &c.LeaseSeq, &by)
	a := jobrt.ParseActor(string(by))
	c.By, c.Reason = a.Name, a.Reason
	return c, err
}

func sortedIDs(ids []jobrt.ID) []jobrt.ID { return slices.SortedFunc(slices.Values(ids), compareIDs) }
