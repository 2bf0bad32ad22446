package jobrt

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// deadGroupJobs is how many dead jobs are looked at to group them.
const deadGroupJobs = 10_000

// DeadGroups are dead jobs, grouped by what they died of.
type DeadGroups struct {
	// Groups, the largest first.
	Groups []DeadGroup `json:"groups"`
	// Jobs is how many jobs they have. Capped is set when there are more: the newest 10,000 were looked at.
	Jobs   int  `json:"jobs"`
	Capped bool `json:"capped,omitempty"`
}

// DeadGroup are the dead jobs of one kind, reason and fingerprint.
type DeadGroup struct {
	Kind   string     `json:"kind"`
	Reason DeadReason `json:"reason"`
	// Fingerprint is empty for those that died without an error of the handler: quarantined ones, say.
	Fingerprint string `json:"fingerprint,omitempty"`
	Count       int    `json:"count"`
	// First and Last are when the first and the last of them died.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Newest is one of them, with its Message, cut to some hundred characters.
	Newest  ID     `json:"newest"`
	Message string `json:"message"`
}

// Filter selects the jobs of the group, those that die later too. For a group without a fingerprint it selects all of its
// kind and reason.
func (g DeadGroup) Filter() Filter {
	return Filter{States: []State{StateDead}, Kind: g.Kind, Reason: g.Reason, Fingerprint: g.Fingerprint}
}

// DeadGroups groups the dead jobs that a filter selects. Its States and Limit are not used. To run those of a group again,
// hand [DeadGroup.Filter] to StartBulk.
func (o *Operator) DeadGroups(ctx context.Context, f Filter) (DeadGroups, error) {
	f.States, f.Limit = nil, deadGroupJobs
	jobs, err := o.store.DeadJobs(ctx, f)
	if err != nil {
		return DeadGroups{}, err
	}
	type key struct {
		kind        string
		reason      DeadReason
		fingerprint string
	}
	groups := make(map[key]*DeadGroup)
	for _, j := range jobs {
		k := key{j.Kind, j.Reason, j.Fingerprint}
		g := groups[k]
		if g == nil {
			g = &DeadGroup{
				Kind: j.Kind, Reason: j.Reason, Fingerprint: j.Fingerprint, First: j.FinishedAt, Last: j.FinishedAt,
				Newest: j.ID, Message: j.Message,
			}
			groups[k] = g
		}
		g.Count++
		if j.FinishedAt.Before(g.First) {
			g.First = j.FinishedAt
		}
		if j.FinishedAt.After(g.Last) {
			g.Last = j.FinishedAt
		}
	}
	all := DeadGroups{Jobs: len(jobs), Capped: len(jobs) == deadGroupJobs, Groups: []DeadGroup{}}
	for _, g := range groups {
		all.Groups = append(all.Groups, *g)
	}
	slices.SortFunc(all.Groups, func(a, b DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return all, nil
}
