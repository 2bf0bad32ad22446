package jobrt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// maxLimitKey is the longest key that is stored as it is, in bytes; a longer one is stored as its digest.
const maxLimitKey = 128

// limitKeyOf is the key by which limits tell jobs apart, as it is stored.
func limitKeyOf[A any](appendKey func([]byte, *A) ([]byte, error), args *A) (string, error) {
	key, err := appendKey(nil, args)
	if err != nil {
		return "", err
	}
	if len(key) > maxLimitKey {
		digest := sha256.Sum256(key)
		return "sha256:" + hex.EncodeToString(digest[:]), nil
	}
	return string(key), nil
}

// bounds are the limits of a pool's kinds and queues: what their annotations say, and in its place what operators say.
// Zero, from an operator, means that nothing may run.
type bounds struct {
	kinds  []*kindBounds
	queues map[string]*operatedBound
}

// kindBounds are the limits of one kind.
type kindBounds struct {
	KindBound
	operatedBound
	home string // the queue that its annotation names
}

// operatedBound is a bound of which parts may have been set by an operator; nil means that they have not.
type operatedBound struct {
	annotated   Bound
	concurrency *int
	rate        *Rate
}

func (b *operatedBound) set(setting, value string) {
	switch setting {
	case SettingConcurrency:
		if n, err := parseLimit(value); err == nil {
			b.concurrency = &n
		}
	case SettingRate:
		if r, err := ParseRate(value); err == nil {
			b.rate = &r
		}
	}
}

// bound is what holds.
func (b *operatedBound) bound() Bound {
	is := b.annotated
	if b.concurrency != nil {
		is.Concurrency = *b.concurrency
	}
	if b.rate != nil {
		is.Rate = *b.rate
	}
	return is
}

// pauses reports whether an operator lets nothing run.
func (b *operatedBound) pauses() bool {
	return b.concurrency != nil && *b.concurrency == 0 || b.rate != nil && b.rate.N == 0
}

// newBounds returns what the annotations say.
func newBounds(p *Pool) *bounds {
	b := &bounds{queues: make(map[string]*operatedBound)}
	of := make(map[*registered]*kindBounds)
	for _, name := range p.kinds {
		reg := p.registry.lookup(name)
		k := of[reg]
		if k == nil {
			s := &reg.settings
			k = &kindBounds{home: s.Queue, KindBound: KindBound{
				Names: []string{reg.kind}, ConcurrencyPerKey: s.ConcurrencyPerKey, RatePerKey: s.RatePerKey, Serial: s.Serial,
			}}
			k.annotated = Bound{Concurrency: s.Concurrency, Rate: s.Rate}
			of[reg] = k
			b.kinds = append(b.kinds, k)
		}
		if name != reg.kind {
			k.Names = append(k.Names, name)
		}
	}
	for _, q := range p.catalog.Queues {
		annotated, _ := queueBound(q)
		b.queues[q.Name] = &operatedBound{annotated: annotated}
	}
	return b
}

// queueBound reads the limits that a //jobqueue: line declares.
func queueBound(q QueueInfo) (Bound, error) {
	var b Bound
	for _, s := range q.Settings {
		var err error
		switch s.Key {
		case "concurrency":
			b.Concurrency, err = parseLimit(s.Value)
		case "rate":
			b.Rate, err = ParseRate(s.Value)
		}
		if err != nil {
			return Bound{}, fmt.Errorf("queue %q: %w", q.Name, err)
		}
	}
	return b, nil
}

// override sets what an operator says of a queue or a kind; a kind may be named by an alias.
func (b *bounds) override(class, name, setting, value string) {
	switch class {
	case "queue":
		if b.queues[name] == nil {
			b.queues[name] = &operatedBound{}
		}
		b.queues[name].set(setting, value)
	case "kind":
		for _, k := range b.kinds {
			if slices.Contains(k.Names, name) {
				k.set(setting, value)
			}
		}
	}
}

// pauses reports whether a limit lets no job of a stored name run.
func (b *bounds) pauses(name string) bool {
	return slices.ContainsFunc(b.kinds, func(k *kindBounds) bool { return k.pauses() && slices.Contains(k.Names, name) })
}

func (b *bounds) pausedQueues() []string {
	var names []string
	for name, q := range b.queues {
		if q.pauses() {
			names = append(names, name)
		}
	}
	return names
}

// limits are the bounds that hold, for the kinds that may be claimed. They do not change once they are made.
type limits struct {
	// plain kinds have no limit of their own; bound ones have.
	plain []string
	bound []KindBound
	home  []string // of bound
	// tried are the kinds of which one job at a time is tried.
	tried map[string]KindBound
	// queues that have limits as a whole.
	queues map[string]Bound
}

// limits are those that hold for the kinds that may be claimed and, by kind, for the names of those that are tried.
func (b *bounds) limits(kinds []string, tries map[string][]string) *limits {
	l := &limits{queues: make(map[string]Bound), tried: make(map[string]KindBound)}
	for _, k := range b.kinds {
		k.Bound = k.bound()
		if names := tries[k.Names[0]]; len(names) > 0 {
			l.tried[k.Names[0]] = k.only(names)
		}
		may := k.only(kinds)
		switch names := may.Claimable(); {
		case len(names) == 0:
			continue
		case may.None():
			l.plain = append(l.plain, names...)
			continue
		}
		l.bound = append(l.bound, may)
		l.home = append(l.home, k.home)
	}
	for name, q := range b.queues {
		if bound := q.bound(); !bound.None() {
			l.queues[name] = bound
		}
	}
	return l
}

// only is the bound with all names barred that are not among some.
func (k *kindBounds) only(names []string) KindBound {
	b := k.KindBound
	b.Barred = slices.DeleteFunc(slices.Clone(b.Names), func(name string) bool { return slices.Contains(names, name) })
	return b
}

// whole reports whether a queue has limits as a whole.
func (l *limits) whole(queue string) bool { return !l.queues[queue].None() }

// of splits what a claim of a queue asks for: kinds without limits, and those with. Limited kinds of other queues, which
// a job may be here from by the option Queue, are among them only with strays, so that a queue without limits pays
// nothing for them.
func (l *limits) of(queue string, strays bool) (plain []string, limited []KindBound) {
	if l.whole(queue) {
		limited = slices.Clone(l.bound)
		for _, name := range l.plain {
			limited = append(limited, KindBound{Names: []string{name}})
		}
		return nil, limited
	}
	for i := range l.bound {
		if strays || l.home[i] == queue {
			limited = append(limited, l.bound[i])
		}
	}
	return l.plain, limited
}
