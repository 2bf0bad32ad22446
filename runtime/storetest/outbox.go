package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// parcelOf returns a parcel of n jobs for a queue.
func parcelOf(queue string, n int) jobrt.OutboxParcel {
	p := jobrt.OutboxParcel{ID: jobrt.NewID(), Queue: queue}
	for i := range n {
		id := jobrt.NewID()
		p.Items = append(p.Items, jobrt.OutboxItem{
			ID: id, Kind: kind, Digest: "d-" + id.String(), Body: []byte(fmt.Sprintf(`{"n":%d,"text":"größe 🧾 \\ \""}`, i)),
		})
	}
	return p
}

func (e *env) stow(parcels ...jobrt.OutboxParcel) {
	e.Helper()
	if err := e.s.Stow(e.ctx, nil, parcels); err != nil {
		e.Fatalf("stow %d parcels: %v", len(parcels), err)
	}
}

// outboxHold is longer than a case takes.
const outboxHold = 10 * time.Minute

func (e *env) take(limit int, queues ...string) []jobrt.OutboxParcel {
	e.Helper()
	got, err := e.s.TakeOutbox(e.ctx, jobrt.OutboxRequest{Queues: queues, Limit: limit, Bytes: 1 << 20, Hold: outboxHold})
	if err != nil {
		e.Fatalf("take outbox: %v", err)
	}
	return got
}

func (e *env) settle(ends ...jobrt.OutboxEnd) {
	e.Helper()
	if err := e.s.SettleOutbox(e.ctx, ends); err != nil {
		e.Fatalf("settle outbox: %v", err)
	}
}

// wantParcels compares what was taken with what was stowed: parcels in order, and items with their bodies.
func (e *env) wantParcels(got []jobrt.OutboxParcel, want ...jobrt.OutboxParcel) {
	e.Helper()
	text := func(parcels []jobrt.OutboxParcel) string {
		var s string
		for _, p := range parcels {
			s += fmt.Sprintf("%s %s\n", p.ID, p.Queue)
			for _, i := range p.Items {
				s += fmt.Sprintf("  %s %v %s %s %s\n", i.ID, i.Batch, i.Kind, i.Digest, i.Body)
			}
		}
		return s
	}
	if g, w := text(got), text(want); g != w {
		e.Fatalf("got parcels\n%swant\n%s", g, w)
	}
}

func (e *env) wantNotStowed(ids ...jobrt.ID) {
	e.Helper()
	for _, id := range ids {
		if p, err := e.s.Stowed(e.ctx, id); !errors.Is(err, jobrt.ErrNotFound) {
			e.Fatalf("stowed %s: got %+v, %v; want ErrNotFound", id, p, err)
		}
	}
}

func (e *env) outboxBacklog(limit int) []jobrt.OutboxBacklog {
	e.Helper()
	lines, err := e.s.OutboxBacklog(e.ctx, limit)
	if err != nil {
		e.Fatalf("outbox backlog: %v", err)
	}
	return lines
}

var outboxCases = []testCase{
	{name: "what a committed transaction has stowed is taken whole, in order, by queue, and held", tx: true, run: func(e *env) {
		one, linked, sms := parcelOf("email", 1), parcelOf("email", 3), parcelOf("sms", 1)
		linked.Items[0].Batch = true
		t := e.begin()
		for _, p := range []jobrt.OutboxParcel{one, linked} {
			if err := e.s.Stow(e.ctx, t.tx, []jobrt.OutboxParcel{p}); err != nil {
				e.Fatal(err)
			}
		}
		if !e.h.SingleWriter {
			if got := e.take(9, "email"); len(got) != 0 {
				e.Fatalf("taken before the commit: %+v", got)
			}
		}
		t.commit()
		e.stow(sms)
		got := e.take(9, "email", "push")
		e.wantParcels(got, one, linked)
		if p := got[0]; p.Tries != 1 || p.StowedAt.IsZero() || p.Refused || p.Error != "" {
			e.Errorf("taken: %+v", p)
		}
		if again := e.take(9, "email"); len(again) != 0 {
			e.Fatalf("taken though held: %+v", again)
		}
		e.advance(outboxHold + time.Second)
		got, err := e.other().TakeOutbox(e.ctx, jobrt.OutboxRequest{Queues: []string{"email", "sms"}, Limit: 9, Bytes: 1 << 20, Hold: outboxHold})
		if err != nil {
			e.Fatal(err)
		}
		e.wantParcels(got, one, linked, sms)
		if got[0].Tries != 2 || got[2].Tries != 1 {
			e.Errorf("tries: %d and %d, want 2 and 1", got[0].Tries, got[2].Tries)
		}
	}},
	{name: "what a rolled-back transaction has stowed is nowhere, and its ids are free", tx: true, run: func(e *env) {
		p := parcelOf("email", 2)
		t := e.begin()
		if err := e.s.Stow(e.ctx, t.tx, []jobrt.OutboxParcel{p}); err != nil {
			e.Fatal(err)
		}
		t.rollback()
		e.wantNotStowed(p.Items[0].ID, p.Items[1].ID)
		if got := e.take(9, "email"); len(got) != 0 {
			e.Fatalf("taken: %+v", got)
		}
		e.stow(p)
		e.wantParcels(e.take(9, "email"), p)
	}},
	{name: "an outbox and jobs commit with one transaction", tx: true, run: func(e *env) {
		t, p := e.begin(), parcelOf("email", 1)
		id := t.insert(newJob())[0]
		if err := e.s.Stow(e.ctx, t.tx, []jobrt.OutboxParcel{p}); err != nil {
			e.Fatal(err)
		}
		t.commit()
		e.wantState(id, jobrt.StateReady)
		e.wantParcels(e.take(9, "email"), p)
	}},
	{name: "a take has at most limit of each queue, the longest due first", run: func(e *env) {
		var parcels []jobrt.OutboxParcel
		for range 5 {
			parcels = append(parcels, parcelOf("email", 1))
		}
		e.stow(parcels...)
		e.wantParcels(e.take(2, "email"), parcels[:2]...)
		e.settle(jobrt.OutboxEnd{Parcel: parcels[0].ID, Delay: 0})
		e.wantParcels(e.take(9, "email"), parcels[0], parcels[2], parcels[3], parcels[4])
	}},
	{name: "a take ends with the parcel that exceeds its bytes, and has one in any case", run: func(e *env) {
		big, one, two := parcelOf("email", 1), parcelOf("email", 1), parcelOf("email", 1)
		big.Items[0].Body = []byte(strings.Repeat("x", 5000))
		e.stow(big, one, two)
		r := jobrt.OutboxRequest{Queues: []string{"email"}, Limit: 9, Bytes: len(one.Items[0].Body), Hold: outboxHold}
		for _, want := range []jobrt.OutboxParcel{big, one, two} {
			got, err := e.s.TakeOutbox(e.ctx, r)
			if err != nil {
				e.Fatal(err)
			}
			e.wantParcels(got, want)
		}
	}},
	{name: "two that take at once share nothing and miss nothing", run: func(e *env) {
		var parcels []jobrt.OutboxParcel
		for range 60 {
			parcels = append(parcels, parcelOf("email", 1))
		}
		e.stow(parcels...)
		stores := []jobrt.Store{e.s, e.other()}
		var mu sync.Mutex
		taken := make(map[jobrt.ID]int)
		inParallel(e, 4, func(i int) error {
			for range 8 {
				got, err := stores[i%2].TakeOutbox(e.ctx, jobrt.OutboxRequest{Queues: []string{"email"}, Limit: 5, Bytes: 1 << 20, Hold: outboxHold})
				if err != nil {
					return err
				}
				mu.Lock()
				for _, p := range got {
					taken[p.ID]++
				}
				mu.Unlock()
			}
			return nil
		})
		for _, p := range e.take(100, "email") {
			taken[p.ID]++
		}
		for _, p := range parcels {
			if taken[p.ID] != 1 {
				e.Fatalf("a parcel was taken %d times", taken[p.ID])
			}
		}
	}},
	{name: "a relayed parcel is gone, however often that is said", run: func(e *env) {
		p, stays := parcelOf("email", 2), parcelOf("email", 1)
		e.stow(p, stays)
		e.take(9, "email")
		for range 2 {
			e.settle(jobrt.OutboxEnd{Parcel: p.ID, Relayed: true}, jobrt.OutboxEnd{Parcel: jobrt.NewID(), Relayed: true})
			e.wantNotStowed(p.Items[0].ID, p.Items[1].ID)
		}
		e.settle(jobrt.OutboxEnd{Parcel: p.ID, Delay: time.Hour, Error: "late"}) // by a relay whose hold had run out
		e.advance(outboxHold + time.Second)
		e.wantParcels(e.take(9, "email"), stays)
	}},
	{name: "a parcel that is refused waits with its error, and others go on", run: func(e *env) {
		bad, away, good := parcelOf("email", 1), parcelOf("sms", 1), parcelOf("email", 1)
		e.stow(bad, away, good)
		e.take(9, "email", "sms")
		e.settle(
			jobrt.OutboxEnd{Parcel: bad.ID, Delay: time.Hour, Refused: true, Error: "no such partition \x00 \xff"},
			jobrt.OutboxEnd{Parcel: away.ID, Delay: 20 * time.Minute, Error: "connection refused", Tries: 7},
			jobrt.OutboxEnd{Parcel: good.ID, Relayed: true})
		if got := e.take(9, "email", "sms"); len(got) != 0 {
			e.Fatalf("taken early: %+v", got)
		}
		p, err := e.s.Stowed(e.ctx, bad.Items[0].ID)
		if err != nil || !p.Refused || p.Error == "" || p.Tries != 1 || p.ID != bad.ID || p.Queue != "email" || len(p.Items) != 1 {
			e.Fatalf("stowed: %+v, %v", p, err)
		}
		if string(p.Items[0].Body) != string(bad.Items[0].Body) {
			e.Errorf("body: %s", p.Items[0].Body)
		}
		list, err := e.s.Outbox(e.ctx, "", 0)
		if err != nil || len(list) != 2 || list[0].ID != bad.ID || list[1].ID != away.ID || list[1].Refused || list[1].Error != "connection refused" {
			e.Fatalf("outbox: %+v, %v", list, err)
		}
		if i := list[0].Items; len(i) != 1 || i[0].ID != bad.Items[0].ID || i[0].Body != nil {
			e.Errorf("items: %+v", i)
		}
		if list, err := e.s.Outbox(e.ctx, "sms", 1); err != nil || len(list) != 1 || list[0].ID != away.ID {
			e.Errorf("outbox of sms: %+v, %v", list, err)
		}
		e.advance(30 * time.Minute)
		got := e.take(9, "email", "sms")
		e.wantParcels(got, away)
		if got[0].Tries != 8 {
			e.Errorf("%d tries, want those that were set and one", got[0].Tries)
		}
		e.advance(time.Hour)
		e.wantParcels(e.take(9, "email"), bad)
	}},
	{name: "the outbox's backlog is counted by queue, up to a limit", run: func(e *env) {
		if got := e.outboxBacklog(10); len(got) != 0 {
			e.Fatalf("backlog: %+v", got)
		}
		bad := parcelOf("email", 1)
		e.stow(bad, parcelOf("email", 2), parcelOf("email", 1), parcelOf("sms", 1))
		e.settle(jobrt.OutboxEnd{Parcel: bad.ID, Refused: true, Error: "bad"})
		got := e.outboxBacklog(10)
		if len(got) != 2 || got[0].Oldest.IsZero() {
			e.Fatalf("backlog: %+v", got)
		}
		for i := range got {
			got[i].Oldest = time.Time{}
		}
		if got[0] != (jobrt.OutboxBacklog{Queue: "email", Count: 3, Refused: 1, Error: "bad"}) || got[1] != (jobrt.OutboxBacklog{Queue: "sms", Count: 1}) {
			e.Errorf("backlog: %+v", got)
		}
		if got := e.outboxBacklog(2); len(got) != 2 || got[0].Count != 2 || !got[0].Capped || got[1].Capped {
			e.Errorf("capped: %+v", got)
		}
	}},
	{name: "an item that met its unique key stays with the job that has it until it is old", run: func(e *env) {
		w, p, holder := e.worker(), parcelOf("email", 2), jobrt.NewID()
		e.stow(p)
		e.take(9, "email")
		end := jobrt.OutboxEnd{Parcel: p.ID, Relayed: true, Merged: map[jobrt.ID]jobrt.ID{p.Items[0].ID: holder}}
		e.settle(end)
		end.Merged = map[jobrt.ID]jobrt.ID{p.Items[0].ID: jobrt.NewID()}
		e.settle(end) // the first answer stays
		e.wantNotStowed(p.Items[1].ID)
		got, err := e.s.Stowed(e.ctx, p.Items[0].ID)
		if err != nil || !got.ID.IsZero() || len(got.Items) != 1 || got.Items[0].Merged != holder {
			e.Fatalf("stowed: %+v, %v", got, err)
		}
		again := parcelOf("email", 0)
		again.Items = p.Items[:1]
		e.stow(again) // the same call, sent again
		if taken := e.take(9, "email"); len(taken) != 1 || len(taken[0].Items) != 0 {
			e.Fatalf("taken: %+v", taken)
		}
		e.maintain(w)
		if _, err := e.s.Stowed(e.ctx, p.Items[0].ID); err != nil {
			e.Fatalf("removed early: %v", err)
		}
		e.advance(month + time.Hour)
		e.maintain(w)
		e.wantNotStowed(p.Items[0].ID)
	}},
	{name: "an item sent again is stowed once, and another one of its id is refused", tx: true, run: func(e *env) {
		p := parcelOf("email", 2)
		e.stow(p)
		again, other := p, p
		again.ID, other.ID = jobrt.NewID(), jobrt.NewID()
		e.stow(again)
		got := e.take(9, "email")
		e.wantParcels(got[:1], p)
		if len(got) != 2 || len(got[1].Items) != 0 {
			e.Fatalf("taken: %+v", got)
		}
		other.Items = append(parcelOf("email", 1).Items, p.Items[1])
		other.Items[1].Digest = "another"
		t := e.begin()
		err := e.s.Stow(e.ctx, t.tx, []jobrt.OutboxParcel{other})
		var taken *jobrt.IDTakenError
		if !errors.As(err, &taken) || taken.ID != p.Items[1].ID || taken.Kind != kind {
			e.Fatalf("got %v, want an IDTakenError", err)
		}
		id := t.insert(newJob())[0] // the transaction is as it was
		t.commit()
		e.wantState(id, jobrt.StateReady)
		e.wantNotStowed(other.Items[0].ID)
	}},
	{name: "parcels are relayed now or dropped by hand, by their ids or those of their items, with an audit", run: func(e *env) {
		p, dropped, other := parcelOf("email", 2), parcelOf("email", 2), parcelOf("email", 1)
		e.stow(p, dropped, other)
		e.take(9, "email")
		e.settle(jobrt.OutboxEnd{Parcel: p.ID, Delay: time.Hour, Refused: true, Error: "no"}, jobrt.OutboxEnd{Parcel: dropped.ID, Delay: time.Hour, Refused: true, Error: "no"})
		ann := jobrt.Actor{Name: "ann", Reason: "mended"}
		if _, err := e.s.DropOutbox(e.ctx, jobrt.Actor{}, []jobrt.ID{p.ID}); err == nil {
			e.Fatal("dropped by nobody")
		}
		changed, err := e.s.RelayNow(e.ctx, ann, []jobrt.ID{p.Items[1].ID, p.Items[0].ID, jobrt.NewID()})
		if err != nil || len(changed) != 1 || changed[0] != p.ID {
			e.Fatalf("relay now: %v, %v", changed, err)
		}
		e.wantParcels(e.take(9, "email"), p)
		for i, want := range []int{1, 0} { // the second call finds nothing
			if changed, err = e.s.DropOutbox(e.ctx, ann, []jobrt.ID{dropped.ID}); err != nil || len(changed) != want {
				e.Fatalf("drop %d: %v, %v", i, changed, err)
			}
		}
		e.wantNotStowed(dropped.Items[0].ID, dropped.Items[1].ID)
		audit, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Actor: "ann"})
		if err != nil || len(audit) != 2 || audit[0].Action != "drop from outbox" || audit[0].Target != "outbox:"+dropped.ID.String() || audit[0].Reason != "mended" {
			e.Fatalf("audit: %+v, %v", audit, err)
		}
		if text := string(audit[0].Detail); !strings.Contains(text, dropped.Items[1].ID.String()) || !strings.Contains(text, kind) {
			e.Errorf("detail: %s", text)
		}
		e.advance(2 * time.Hour)
		e.wantParcels(e.take(9, "email"), p, other)
	}},
}
