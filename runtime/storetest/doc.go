// Package storetest is the executable form of the contract of [jobrt.Store]. A store passes when [Run] passes with a
// [Harness] for it:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{Open: open, Advance: advance, BeginTx: begin, Reopen: reopen})
//	}
//
// Every case reads as a sentence of the contract and stands in the file of its theme: insert.go, unique.go, claim.go
// and so on. Cases judge a store by what its interface shows and never by its tables.
//
// No case sleeps or asserts how long something takes. Time passes by [Harness.Advance] alone, in steps of minutes and
// hours, so a store may round instants to a millisecond and tests may run on a slow machine. Random cases print their
// seed; set STORETEST_SEED to run one again.
package storetest
