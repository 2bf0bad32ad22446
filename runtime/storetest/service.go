package storetest

import (
	"errors"
	"fmt"
	"sync"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// moduleCatalog declares a kind and a queue of service shop, which module has taken over from former.
func moduleCatalog(module, former, name string) jobrt.Catalog {
	c := catalog("shop", []string{"shop/" + name}, []string{name})
	c.Module, c.FormerModule = module, former
	return c
}

// accepts syncs catalogues, one after the other.
func (e *env) accepts(s jobrt.Store, cs ...jobrt.Catalog) {
	e.Helper()
	for _, c := range cs {
		if err := s.Sync(e.ctx, c); err != nil {
			e.Fatalf("sync of %s by module %q: %v", c.Kinds[0].Kind, c.Module, err)
		}
	}
}

// refuses wants the catalogue refused, because service shop belongs to owner.
func (e *env) refuses(s jobrt.Store, c jobrt.Catalog, owner string) {
	e.Helper()
	err := s.Sync(e.ctx, c)
	var owned *jobrt.OwnedError
	if !errors.As(err, &owned) || *owned != (jobrt.OwnedError{What: "service", Name: "shop", Owner: owner}) {
		e.Errorf("sync of %s by module %q: got %v, want an OwnedError that names %s", c.Kinds[0].Kind, c.Module, err, owner)
	}
}

// kindNames lists the catalogue.
func (e *env) kindNames() string {
	e.Helper()
	kinds, err := e.s.Kinds(e.ctx)
	if err != nil {
		e.Fatalf("kinds: %v", err)
	}
	var names []string
	for _, k := range kinds {
		names = append(names, k.Kind)
	}
	return fmt.Sprint(names)
}

const (
	eu   = "example.com/eu/shop"
	us   = "example.com/us/shop"
	asia = "example.com/asia/shop"
)

var serviceCases = []testCase{
	{name: "a service belongs to the module that recorded it first", run: func(e *env) {
		e.accepts(e.s, moduleCatalog(eu, "", "a.A"))
		e.refuses(e.other(), moduleCatalog(us, "", "b.B"), eu)
		e.refuses(e.other(), moduleCatalog(us, asia, "b.B"), eu)
		e.accepts(e.other(), moduleCatalog(eu, "", "a.A"), moduleCatalog(eu, "", "c.C"))
		e.refuses(e.s, moduleCatalog(us, "", "a.A"), eu)
		if got := e.kindNames(); got != "[shop/a.A shop/c.C]" {
			e.Errorf("kinds: %s", got)
		}
		post := catalog("post", []string{"post/b.B"}, []string{"b.B"}) // the queue is free: what was refused left nothing
		post.Module = us
		e.accepts(e.other(), post)
	}},
	{name: "a service that a name of another service keeps out records no module", run: func(e *env) {
		e.accepts(e.s, catalog("post", []string{"post/a.A"}, []string{"mail"}))
		var owned *jobrt.OwnedError
		if err := e.s.Sync(e.ctx, moduleCatalog(us, "", "mail")); !errors.As(err, &owned) || owned.What != "queue" {
			e.Fatalf("sync: %v, want an OwnedError of the queue", err)
		}
		e.accepts(e.other(), moduleCatalog(eu, "", "a.A"))
	}},
	{name: "a catalogue without a module is neither checked nor recorded", run: func(e *env) {
		e.accepts(e.s, moduleCatalog("", "", "a.A"), moduleCatalog(eu, "", "a.A"), moduleCatalog("", "", "b.B"))
		e.refuses(e.other(), moduleCatalog(us, "", "a.A"), eu)
		if got := e.kindNames(); got != "[shop/a.A shop/b.B]" {
			e.Errorf("kinds: %s", got)
		}
	}},
	{name: "a module takes a service over from its former path, which is let in until it is named no more", run: func(e *env) {
		e.accepts(e.s, moduleCatalog(eu, "", "a.A"))
		e.accepts(e.other(), moduleCatalog(us, eu, "a.A"))
		// Old builds and new ones start in any order, and that changes nothing.
		e.accepts(e.s, moduleCatalog(eu, "", "a.A"), moduleCatalog(us, eu, "a.A"), moduleCatalog(eu, "", "a.A"))
		e.refuses(e.s, moduleCatalog(asia, "", "a.A"), us)
		e.accepts(e.other(), moduleCatalog(us, "", "a.A"))
		e.refuses(e.s, moduleCatalog(eu, "", "a.A"), us)
		e.refuses(e.s, moduleCatalog(eu, asia, "a.A"), us)
		e.accepts(e.s, moduleCatalog(eu, us, "a.A")) // and back
		e.accepts(e.other(), moduleCatalog(us, "", "a.A"))
		e.refuses(e.s, moduleCatalog(asia, "", "a.A"), eu)
	}},
	{name: "of modules that start at once one gets the service", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		var mu sync.Mutex
		owners, refusals := make(map[string]bool), make(map[string]bool)
		inParallel(e, 8, func(i int) error {
			module := []string{eu, us}[i%2]
			err := stores[i/4].Sync(e.ctx, moduleCatalog(module, "", []string{"a.A", "b.B"}[i%2]))
			mu.Lock()
			defer mu.Unlock()
			var owned *jobrt.OwnedError
			if errors.As(err, &owned) {
				refusals[owned.Owner] = true
				return nil
			}
			owners[module] = err == nil
			return err
		})
		if len(owners) != 1 || len(refusals) != 1 || owners[eu] != refusals[eu] {
			e.Fatalf("owners: %v, named by refusals: %v, want one, the same", owners, refusals)
		}
		if got, want := e.kindNames(), map[bool]string{true: "[shop/a.A]", false: "[shop/b.B]"}[owners[eu]]; got != want {
			e.Errorf("kinds: %s, want %s", got, want)
		}
	}},
	{name: "two services on one database claim their own kinds, and what nobody serves is visible", run: func(e *env) {
		shop := catalog("shop", []string{"shop/a.A"}, []string{"a"})
		post := catalog("post", []string{"post/b.B"}, []string{"b"})
		e.accepts(e.s, shop)
		e.accepts(e.other(), post)
		if got := e.kindNames(); got != "[post/b.B shop/a.A]" {
			e.Errorf("kinds: %s", got)
		}
		// A job of post waits in the queue of shop, whose worker has no handler for it.
		theirs := e.insert(newJob(withKind("post/b.B"), inQueue("a")))[0]
		own := e.insert(newJob(withKind("shop/a.A"), inQueue("a")))[0]
		info := jobrt.WorkerInfo{Service: "shop", Queues: []string{"a"}, Kinds: []string{"shop/a.A"}, LeaseTTL: ttl}
		session, err := e.s.Open(e.ctx, info)
		if err != nil {
			e.Fatal(err)
		}
		id, err := session.Register(e.ctx, jobrt.ID{})
		if err != nil {
			e.Fatal(err)
		}
		defer session.Close(e.ctx, id) //nolint:errcheck // the store is thrown away
		got, err := session.Claim(e.ctx, jobrt.ClaimRequest{Worker: id, Queue: "a", Kinds: info.Kinds, Limit: 5, Start: 5, FromFront: true})
		if err != nil {
			e.Fatal(err)
		}
		wantIDs(e, "claimed", idsOf(got), []jobrt.ID{own})
		e.wantState(theirs, jobrt.StateReady)
		for _, line := range e.backlog(10) {
			if line.Served != (line.Kind == "shop/a.A") {
				e.Errorf("backlog: %+v", line)
			}
		}
	}},
}
