package jobtest

import (
	"bytes"
	"context"
	"fmt"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// effect is one key of the ledger: an intent, or what is done.
type effect struct {
	claim  jobrt.Ref // whose the intent is, or that had the effect
	first  jobrt.ID  // the job that wrote the intent, which others may have taken over
	done   bool
	result []byte
	at     time.Time
}

func (e *effect) look(state jobrt.EffectState) jobrt.Effect {
	job := e.claim.ID
	if state == jobrt.EffectInDoubt {
		job = e.first
	}
	return jobrt.Effect{State: state, Job: job, Result: bytes.Clone(e.result), At: e.at}
}

// Intend records that a claim is about to have an effect. A key that another open transaction has is waited for.
func (m *Memory) Intend(ctx context.Context, tx jobrt.Tx, i jobrt.Intent) (jobrt.Effect, error) {
	if err := asked(ctx); err != nil {
		return jobrt.Effect{}, err
	}
	var found jobrt.Effect
	err := m.untilFree(ctx, func() (holder *Tx, err error) {
		own, err := m.own(tx)
		if err != nil {
			return nil, err
		}
		if holder := m.pendingEffects[string(i.Key)]; holder != nil && holder != own {
			return holder, nil
		}
		found, err = m.intend(own, i)
		return nil, err
	})
	return found, err
}

func (m *Memory) intend(own *Tx, i jobrt.Intent) (jobrt.Effect, error) {
	if r := m.live[i.ID]; r == nil || r.info.State != jobrt.StateRunning || r.info.LeaseSeq != i.LeaseSeq {
		return jobrt.Effect{}, fmt.Errorf("memory store: intend for job %s: %w", i.ID, jobrt.ErrLeaseLost)
	}
	key := string(i.Key)
	known := m.effects[key]
	if own != nil && own.effects[key] != nil {
		known = own.effects[key]
	}
	fresh := &effect{claim: i.Ref, first: i.ID, at: m.now()}
	switch {
	case known != nil && known.done:
		return known.look(jobrt.EffectDone), nil
	case known != nil && own != nil:
		return known.look(jobrt.EffectInDoubt), nil
	case known != nil && known.claim.ID != i.ID && m.live[known.claim.ID] != nil:
		return known.look(jobrt.EffectBusy), nil
	case known != nil:
		known.claim = i.Ref
		return known.look(jobrt.EffectInDoubt), nil
	case own == nil:
		m.effects[key] = fresh
	default:
		fresh.done, fresh.result = true, bytes.Clone(i.Result)
		own.effects[key] = fresh
		m.pendingEffects[key] = own
		own.work = append(own.work, func() { m.effects[key] = fresh })
	}
	return fresh.look(jobrt.EffectOpened), nil
}

// SettleEffect ends the intent of a claim at once. A key that an open transaction has is waited for.
func (m *Memory) SettleEffect(ctx context.Context, ref jobrt.Ref, end jobrt.EffectEnd) error {
	if err := asked(ctx); err != nil {
		return err
	}
	return m.untilFree(ctx, func() (*Tx, error) {
		if holder := m.pendingEffects[string(end.Key)]; holder != nil {
			return holder, nil
		}
		m.settleEffect(ref, end, m.now())
		return nil, nil
	})
}

func (m *Memory) settleEffect(ref jobrt.Ref, end jobrt.EffectEnd, now time.Time) {
	key := string(end.Key)
	known := m.effects[key]
	switch {
	case known != nil && known.done: // the first answer stays
	case end.Done:
		m.effects[key] = &effect{claim: ref, first: ref.ID, done: true, result: bytes.Clone(end.Result), at: now}
	case known != nil && known.claim == ref:
		delete(m.effects, key)
	}
}

// forget removes the intents of a job that an operator runs again, and those that it wrote and another job has taken
// over, unless that one is at it.
func (m *Memory) forget(id jobrt.ID) {
	for key, e := range m.effects {
		if !e.done && (e.claim.ID == id || e.first == id && m.live[e.claim.ID] == nil) {
			delete(m.effects, key)
		}
	}
}
