package storetest

import (
	"errors"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// buildCatalog is what a build of service shop declares: its kinds and queues, with the build as schema and setting.
func buildCatalog(build string, names ...string) jobrt.Catalog {
	c := jobrt.Catalog{Service: "shop", Build: build}
	for _, name := range names {
		c.Kinds = append(c.Kinds, jobrt.KindInfo{Kind: name, Queue: name, ArgsSchema: build})
		c.Queues = append(c.Queues, jobrt.QueueInfo{Name: name, Workers: len(build), Settings: []jobrt.Setting{{Key: "owner", Value: build}}})
	}
	return c
}

// wantRows compares which build's rows of kinds and of queues are recorded: "a=v1 b=v2".
func (e *env) wantRows(want string) {
	e.Helper()
	kinds, err := e.s.Kinds(e.ctx)
	if err != nil {
		e.Fatalf("kinds: %v", err)
	}
	queues, err := e.s.Queues(e.ctx)
	if err != nil {
		e.Fatalf("queues: %v", err)
	}
	var ofKinds, ofQueues []string
	for _, k := range kinds {
		if k.Service != "shop" || k.Build != k.ArgsSchema {
			e.Errorf("kind %+v mixes builds", k)
		}
		ofKinds = append(ofKinds, k.Kind+"="+k.Build)
	}
	for _, q := range queues {
		if q.Service != "shop" || len(q.Settings) != 1 || q.Build != q.Settings[0].Value || q.Workers != len(q.Build) {
			e.Errorf("queue %+v mixes builds", q)
		}
		ofQueues = append(ofQueues, q.Name+"="+q.Build)
	}
	if got := strings.Join(ofKinds, " "); got != want {
		e.Fatalf("kinds are of %q, want %q", got, want)
	}
	if got := strings.Join(ofQueues, " "); got != want {
		e.Fatalf("queues are of %q, want %q", got, want)
	}
}

// buildWorker is a worker of a build of service shop.
func (e *env) buildWorker(s jobrt.Store, build string) *worker {
	e.Helper()
	return e.workerOf(s, func(i *jobrt.WorkerInfo) { i.Service, i.Build = "shop", build })
}

var buildCases = []testCase{
	{name: "of two processes of two builds the newer has its rows, whichever syncs last", run: func(e *env) {
		old, fresh := e.s, e.other()
		e.accepts(old, buildCatalog("v1", "a", "b"))
		e.buildWorker(old, "v1")
		e.wantRows("a=v1 b=v1")
		e.accepts(fresh, buildCatalog("v2", "a", "c"))
		e.buildWorker(fresh, "v2")
		e.wantRows("a=v2 b=v1 c=v2")
		for range 2 { // the old one starts once more
			e.accepts(old, buildCatalog("v1", "a", "b", "c", "d"))
			e.wantRows("a=v2 b=v1 c=v2 d=v1")
			e.accepts(fresh, buildCatalog("v2", "a", "c"))
		}
		all, err := e.s.Builds(e.ctx)
		if err != nil || len(all) != 2 {
			e.Fatalf("builds: %+v, %v; want two", all, err)
		}
		for i, b := range all {
			if b.Service != "shop" || b.Build != []string{"v1", "v2"}[i] || b.Workers != 1 || !b.Retired.IsZero() ||
				b.FirstSeen.After(b.LastSeen) || time.Since(b.LastSeen).Abs() > time.Hour {
				e.Errorf("build %d: %+v", i, b)
			}
		}
	}},
	{name: "a build that was rolled back to takes over ten minutes after the last worker of the newer one", run: func(e *env) {
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.accepts(e.s, buildCatalog("v2", "a"))
		w := e.buildWorker(e.s, "v2")
		e.advance(time.Hour)
		w.register(w.id) // at work, though it has not synced for an hour
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.wantRows("a=v2")
		e.advance(time.Hour)
		w.register(w.id)
		w.close()
		e.advance(9 * time.Minute)
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.wantRows("a=v2")
		e.advance(2 * time.Minute)
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.wantRows("a=v1")
		e.accepts(e.s, buildCatalog("v2", "a")) // rolled forward again
		e.wantRows("a=v2")
	}},
	{name: "a build whose worker crashed is remembered through maintenance", run: func(e *env) {
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.accepts(e.s, buildCatalog("v2", "a"))
		e.advance(time.Hour)
		e.workerOf(e.s, func(i *jobrt.WorkerInfo) { i.Service, i.Build, i.LeaseTTL = "shop", "v2", time.Minute })
		e.advance(5 * time.Minute)
		e.maintain(e.worker())
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.wantRows("a=v2")
		e.advance(6 * time.Minute)
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.wantRows("a=v1")
	}},
	{name: "a build that was retired gives way at once, and does not come back over others", run: func(e *env) {
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.accepts(e.s, buildCatalog("v2", "a"))
		v2 := e.buildWorker(e.s, "v2")
		c, err := v2.session.Controls(e.ctx, v2.id)
		if err != nil || !c.Retired.IsZero() {
			e.Fatalf("controls: %+v, %v; want no build retired", c, err)
		}
		for range 2 {
			if err := e.s.RetireBuild(e.ctx, ann, "shop", "v2"); err != nil {
				e.Fatalf("retire: %v", err)
			}
		}
		if c, err = v2.session.Controls(e.ctx, v2.id); err != nil || c.Retired.IsZero() {
			e.Fatalf("controls: %+v, %v; want to hear of the build that was retired", c, err)
		}
		e.accepts(e.s, buildCatalog("v1", "a"))
		e.wantRows("a=v1")
		e.accepts(e.other(), buildCatalog("v2", "a")) // which still runs
		e.wantRows("a=v1")
		e.accepts(e.s, buildCatalog("v3", "a"))
		e.wantRows("a=v3")
		for _, c := range [][2]string{{"shop", "v9"}, {"post", "v1"}} {
			if err := e.s.RetireBuild(e.ctx, ann, c[0], c[1]); !errors.Is(err, jobrt.ErrNotFound) {
				e.Errorf("retire %v: %v, want ErrNotFound", c, err)
			}
		}
		if err := e.s.RetireBuild(e.ctx, jobrt.Actor{}, "shop", "v3"); err == nil {
			e.Error("a build was retired by nobody")
		}
		entries, err := e.s.Audit(e.ctx, jobrt.AuditFilter{Target: "build:shop/v2"})
		if err != nil || len(entries) != 1 || entries[0].Action != "retire build" || entries[0].Actor != "ann" {
			e.Errorf("audit: %+v, %v; want one entry", entries, err)
		}
	}},
	{name: "builds of other services and builds without a name are not compared", run: func(e *env) {
		e.accepts(e.s, buildCatalog("v1", "a"))
		post := catalog("post", []string{"post/b.B"}, []string{"mail"})
		post.Build = "v0"
		e.accepts(e.s, post)
		e.buildWorker(e.s, "v1")
		e.accepts(e.s, buildCatalog("", "a"))
		e.accepts(e.s, buildCatalog("v1", "a"))
		post.Build = "v1"
		e.accepts(e.s, post)
		post.Build, post.Kinds[0].ArgsSchema = "v0", "fedcba9876543210"
		e.accepts(e.s, post)
		kinds, err := e.s.Kinds(e.ctx)
		if err != nil || len(kinds) != 2 || kinds[0].Build != "v1" || kinds[1].Build != "v1" || kinds[1].ArgsSchema != schema {
			e.Errorf("kinds: %+v, %v", kinds, err)
		}
	}},
	{name: "of builds that start at once the newer has all rows in the end", run: func(e *env) {
		stores := []jobrt.Store{e.s, e.other()}
		e.accepts(e.s, buildCatalog("v1", "a"))
		inParallel(e, 8, func(i int) error {
			return stores[i/4].Sync(e.ctx, buildCatalog([]string{"v1", "v2"}[i%2], "a", "b", "c"))
		})
		e.wantRows("a=v2 b=v2 c=v2")
	}},
}
