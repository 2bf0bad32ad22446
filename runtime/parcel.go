package jobrt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// linked reports whether the jobs of a parcel have to do with each other, so that they are stored in one transaction.
func (p parcel) linked() bool {
	return p.graph || slices.ContainsFunc(p.jobs, func(j NewJob) bool { return len(j.Parents) > 0 || !j.With.IsZero() || !j.Batch.IsZero() })
}

// outside are the parents and batches that it names and does not hold.
func (p parcel) outside() []ID {
	inside := make(map[ID]bool, len(p.jobs)+len(p.batches))
	for i := range p.jobs {
		inside[p.jobs[i].ID] = true
	}
	for i := range p.batches {
		inside[p.batches[i].ID] = true
	}
	var ids []ID
	add := func(id ID) {
		if !id.IsZero() && !inside[id] {
			inside[id] = true
			ids = append(ids, id)
		}
	}
	for i := range p.jobs {
		add(p.jobs[i].Batch)
		for _, parent := range p.jobs[i].Parents {
			add(parent.ID)
		}
	}
	for i := range p.batches {
		add(p.batches[i].Within)
	}
	return ids
}

// replaceParent makes its jobs wait for another job.
func (p parcel) replaceParent(id, by ID) {
	for i := range p.jobs {
		parents := slices.Clone(p.jobs[i].Parents)
		for k := range parents {
			if parents[k].ID == id {
				parents[k].ID = by
			}
		}
		p.jobs[i].Parents = parents
	}
}

// queues are those of its jobs.
func (p parcel) queues() []string {
	var queues []string
	for i := range p.jobs {
		if !slices.Contains(queues, p.jobs[i].Queue) {
			queues = append(queues, p.jobs[i].Queue)
		}
	}
	return queues
}

// queue is one that says which database the parcel is of.
func (p parcel) queue() string {
	if len(p.jobs) == 0 {
		return defaultQueue // see graph.close
	}
	return p.jobs[0].Queue
}

// stow writes the parcel into the outbox of a database, in a transaction of that. Jobs that have nothing to do with each
// other are relayed each by itself, so that one that is refused does not hold up the others. What meets a unique key is
// not known before it is relayed.
func (p parcel) stow(ctx context.Context, store Store, tx Tx) ([]Inserted, error) {
	var parcels []OutboxParcel
	results := make([]Inserted, len(p.jobs))
	items := make([]OutboxItem, 0, len(p.batches)+len(p.jobs))
	for i := range p.batches {
		item, err := p.batchItem(&p.batches[i])
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	for i := range p.jobs {
		item, err := jobItem(&p.jobs[i])
		if err != nil {
			return nil, err
		}
		results[i] = Inserted{ID: p.jobs[i].ID}
		items = append(items, item)
	}
	if p.linked() {
		parcels = []OutboxParcel{{ID: NewID(), Queue: p.queue(), Items: items}}
	} else {
		for i := range items {
			parcels = append(parcels, OutboxParcel{ID: NewID(), Queue: p.jobs[i].Queue, Items: items[i : i+1]})
		}
	}
	if err := store.Stow(ctx, tx, parcels); err != nil {
		return nil, err
	}
	return results, nil
}

// jobItem is how a job is stowed: by the names of those of its fields that are not zero, so that a build that does not
// know a field of a newer one refuses the job only where it matters.
func jobItem(j *NewJob) (OutboxItem, error) {
	body, err := encodeFields(*j)
	if err != nil {
		return OutboxItem{}, fmt.Errorf("stow job %s: %w", j.ID, err)
	}
	sum := sha256.New()
	sum.Write([]byte(j.Kind))
	sum.Write([]byte{0})
	sum.Write(j.Args)
	return OutboxItem{ID: j.ID, Kind: j.Kind, Digest: hex.EncodeToString(sum.Sum(nil)), Body: body}, nil
}

// stowedBatch is how a batch is stowed.
type stowedBatch struct {
	Batch   NewBatch
	Members int // of the same parcel
}

func (p parcel) batchItem(b *NewBatch) (OutboxItem, error) {
	s := stowedBatch{Batch: *b}
	for i := range p.jobs {
		if p.jobs[i].Batch == b.ID {
			s.Members++
		}
	}
	for i := range p.batches {
		if p.batches[i].Within == b.ID {
			s.Members++
		}
	}
	body, err := encodeFields(s)
	if err != nil {
		return OutboxItem{}, fmt.Errorf("stow batch %s: %w", b.ID, err)
	}
	return OutboxItem{ID: b.ID, Batch: true, Kind: b.Name, Digest: "batch", Body: body}, nil
}

func encodeFields(v any) ([]byte, error) {
	of := reflect.ValueOf(v)
	fields := make(map[string]any)
	for i := range of.NumField() {
		if f := of.Field(i); !f.IsZero() {
			fields[of.Type().Field(i).Name] = f.Interface()
		}
	}
	return json.Marshal(fields)
}

// decodeFields reads what encodeFields has written. A field that this build does not know is an error.
func decodeFields(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// open returns what a stowed parcel holds, as it is sent from the outbox: it may have been sent before. age is how long
// it has been stowed. A job whose With is not there is left out: that one was known when the parcel was stowed, and is
// relayed by itself.
func (o *OutboxParcel) open(age time.Duration) (parcel, error) {
	p := parcel{graph: len(o.Items) > 1}
	inside := make(map[ID]bool, len(o.Items))
	for _, item := range o.Items {
		if item.Batch {
			var s stowedBatch
			if err := decodeFields(item.Body, &s); err != nil {
				return p, fmt.Errorf("batch %s: stowed by another build: %w", item.ID, err)
			}
			p.batches = append(p.batches, s.Batch)
			p.graph = true
			continue
		}
		var j NewJob
		if err := decodeFields(item.Body, &j); err != nil {
			return p, fmt.Errorf("job %s (%s): stowed by another build: %w", item.ID, item.Kind, err)
		}
		if !j.With.IsZero() && !inside[j.With] {
			continue
		}
		inside[j.ID] = true
		j.onTheWay(age)
		p.jobs = append(p.jobs, j)
	}
	p.again()
	return p, nil
}

// onTheWay takes the time that a job was on its way off what counts from its enqueue.
func (j *NewJob) onTheWay(age time.Duration) {
	if len(j.Parents) > 0 || !j.RunAt.IsZero() {
		return // counts from the end of the parents, or from an instant
	}
	late := max(age-j.Delay, 0)
	j.Delay = max(j.Delay-age, 0)
	if j.Expires > 0 {
		j.Expires = max(j.Expires-late, time.Microsecond)
	}
}

// why says to people where a parcel is.
func (o *OutboxParcel) why() string {
	s := fmt.Sprintf("on its way to the database of queue %q", o.Queue)
	switch {
	case o.Refused:
		s += ", which refuses it: " + o.Error
	case o.Error != "":
		s += ", which was away: " + o.Error
	}
	return s
}

// waitingJob is how a job looks while it is on its way.
func (o *OutboxParcel) waitingJob() (JobInfo, error) {
	var j NewJob
	if err := o.first(&j, false); err != nil {
		return JobInfo{}, err
	}
	runAt := j.RunAt
	if runAt.IsZero() {
		runAt = o.StowedAt.Add(j.Delay)
	}
	return JobInfo{
		ID: j.ID, Service: j.Service, Kind: j.Kind, Queue: j.Queue, State: StateWaiting, Relaying: o.why(), Priority: j.Priority,
		RunAt: runAt, CreatedAt: o.StowedAt, MaxRetries: j.MaxRetries, Args: j.Args, ArgsSchema: j.ArgsSchema,
		KeepResult: j.KeepResult, Tags: j.Tags, Origin: j.Origin, Batch: j.Batch,
	}, nil
}

// openBatch is how a batch looks while it is on its way: its members are those that are on the way with it.
func (o *OutboxParcel) openBatch() (BatchInfo, error) {
	var s stowedBatch
	if err := o.first(&s, true); err != nil {
		return BatchInfo{}, err
	}
	return BatchInfo{
		ID: s.Batch.ID, Service: s.Batch.Service, Name: s.Batch.Name, Within: s.Batch.Within, State: BatchOpen, Relaying: o.why(),
		Total: s.Members, CreatedAt: o.StowedAt, Origin: s.Batch.Origin,
	}, nil
}

// first reads the item that Stowed has found.
func (o *OutboxParcel) first(v any, batch bool) error {
	item := o.Items[0]
	if item.Batch != batch {
		return ErrNotFound
	}
	if err := json.Unmarshal(item.Body, v); err != nil {
		return fmt.Errorf("%w: %w", errors.New("it is on its way, but cannot be read"), err)
	}
	return nil
}
