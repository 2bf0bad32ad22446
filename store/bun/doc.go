// Package bunstore keeps the jobs of package jobrt in PostgreSQL or SQLite, through Bun.
//
// [Open] takes an address, "postgres://…" or "sqlite:billing.db"; [New] takes the application's own *bun.DB. Both refuse
// a database on which the guarantees of [jobrt.Store] would not hold, and say why.
//
// # What the database decides
//
// A job is one row of the table jobs while it is live, then one row of history (succeeded, cancelled) or of dead. Only
// the database's clock is compared. Who may write about a claimed job is decided by lease_seq alone: it grows by one on
// every entry to and every exit from the state running, and each write names the value that it was claimed with.
//
//	             Insert
//	               |
//	  due later    v     due now
//	scheduled <---------> ready --Claim--> running --Finish--> history
//	    ^        Promote    ^                 |                 dead --Retry, Revive--> ready
//	    |                   |                 |
//	    +------ retry, snooze, hand back -----+
//	                        +----- Rescue ----+
//
// A worker lives while its row in workers has lease_until in the future; the lease is there and not in the jobs, so that
// one short UPDATE a tick renews everything that a process holds.
//
// # Files
//
// store.go is the port: it checks arguments, gives each call a deadline and names errors; dialect.go is what the two
// databases do differently; postgres*.go and sqlite*.go do it. migrations/ holds the tables.
package bunstore
