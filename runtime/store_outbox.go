package jobrt

import (
	"context"
	"time"
)

// OutboxStore is the part of a [Store] that keeps jobs of other databases. An enqueue in a transaction of this database,
// into a queue that another one keeps, can't be stored there with the transaction: it is stowed here, as a part of the
// transaction, and relayed once that has committed. The bodies mean nothing to the store.
//
// Ids make it harmless to relay a parcel twice: whoever relays sends with Resend, and settles afterwards.
type OutboxStore interface {
	// Stow writes parcels into the outbox, all or nothing, in one transaction: tx, or the store's own when tx is nil. An
	// item whose id the outbox has, on its way or merged, is left as it is when its Digest is the same; with another
	// Digest the call fails with an [IDTakenError]. Parcels of one call are relayed in their order, as far as they are
	// at all.
	Stow(ctx context.Context, tx Tx, parcels []OutboxParcel) error

	// TakeOutbox returns parcels that are due, the longest due first, whole, and keeps everybody else from them for a
	// while: whoever takes one must be through with it before that has passed. Each take counts as a try. Items that are
	// merged are left out.
	TakeOutbox(ctx context.Context, r OutboxRequest) ([]OutboxParcel, error)

	// SettleOutbox says what became of parcels. It may be sent again; a parcel that is gone is passed over.
	SettleOutbox(ctx context.Context, ends []OutboxEnd) error

	// Stowed finds one item. The result has that item alone, and of a merged one nothing else. ErrNotFound when the
	// outbox does not have it: it was never stowed, or was relayed.
	Stowed(ctx context.Context, id ID) (OutboxParcel, error)

	// Outbox lists parcels of a queue, or of all when it is empty, the longest waiting first; at most limit, default 100,
	// at most 1,000. Of the items of a parcel it has the first one only, without its body.
	Outbox(ctx context.Context, queue string, limit int) ([]OutboxParcel, error)

	// RelayNow makes parcels due at once that wait after a failure, and DropOutbox removes parcels, which then are nowhere
	// but in the audit. ids are those of parcels or of their items. They return the parcels that they changed. One that is
	// being relayed at this moment may arrive though it is dropped.
	RelayNow(ctx context.Context, a Actor, ids []ID) ([]ID, error)
	DropOutbox(ctx context.Context, a Actor, ids []ID) ([]ID, error)

	// OutboxBacklog counts the parcels of each queue, up to limit of each, sorted by queue.
	OutboxBacklog(ctx context.Context, limit int) ([]OutboxBacklog, error)
}

// OutboxParcel is what is relayed all or nothing: one job, or jobs and batches that have to do with each other.
type OutboxParcel struct {
	ID    ID           `json:"id"`
	Queue string       `json:"queue"` // of one of its jobs: it says which database the parcel goes to
	Items []OutboxItem `json:"items"`
	// The rest is the store's to set.

	// StowedAt is when it was written, At when it may be taken next.
	StowedAt time.Time `json:"stowed_at,omitzero"`
	At       time.Time `json:"at,omitzero"`
	Tries    int       `json:"tries,omitempty"`
	// Refused says that the other database was reached and refused the parcel, with Error. Otherwise Error says why it
	// was not reached.
	Refused bool   `json:"refused,omitempty"`
	Error   string `json:"error,omitempty"`
}

// OutboxRequest asks for parcels to relay.
type OutboxRequest struct {
	Queues []string
	// Limit is the most that is taken of each queue. Of a queue whose bodies have more than Bytes together, fewer are
	// taken, and one in any case.
	Limit int
	Bytes int
	// Hold is how long nobody else gets them.
	Hold time.Duration
}

// OutboxItem is one job or batch.
type OutboxItem struct {
	ID    ID     `json:"id"`
	Batch bool   `json:"batch,omitempty"`
	Kind  string `json:"kind,omitempty"` // of a job; the name of a batch
	// Digest tells whether two items of one id are the same.
	Digest string `json:"-"`
	// Body is UTF-8 text without NUL.
	Body []byte `json:"-"`
	// Merged, when not zero, is the job that had the item's unique key when it was relayed. The item is kept until
	// Maintain removes it, so that whoever asks for its id finds that job.
	Merged ID `json:"merged,omitzero"`
}

// OutboxEnd is what became of one parcel.
type OutboxEnd struct {
	Parcel ID
	// Relayed: its items are removed, but for those in Merged, which are kept with the id that each is mapped to.
	Relayed bool
	Merged  map[ID]ID
	// Otherwise it may be taken again after Delay, with what Refused and Error say. See OutboxParcel.
	Delay   time.Duration
	Refused bool
	Error   string
	// Tries, when positive, is what Tries of the parcel becomes: a take that came to nothing by no fault of the parcel is
	// not to be held against it.
	Tries int
}

// OutboxBacklog is one queue's part of the outbox.
type OutboxBacklog struct {
	Queue string `json:"queue"`
	// Count of parcels; Refused are those of them that the other database refuses.
	Count   int  `json:"count"`
	Refused int  `json:"refused,omitempty"`
	Capped  bool `json:"capped,omitempty"` // there are more than Count
	// Oldest is when the longest-waiting of them was stowed.
	Oldest time.Time `json:"oldest,omitzero"`
	// Error of one of them; empty when there is none.
	Error string `json:"error,omitempty"`
}

// OutboxDetail is what the audit keeps of a parcel that was changed by hand: at most the first 100 of its items.
func OutboxDetail(p *OutboxParcel) map[string]any {
	type item struct {
		ID   ID     `json:"id"`
		Kind string `json:"kind,omitempty"`
	}
	items := make([]item, 0, min(len(p.Items), 100))
	for _, i := range p.Items[:cap(items)] {
		items = append(items, item{i.ID, i.Kind})
	}
	return map[string]any{"queue": p.Queue, "error": p.Error, "count": len(p.Items), "items": items}
}
