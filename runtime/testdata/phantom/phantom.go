// Package phantom does not compile: a handle of one result type never passes for a handle of another. Each marked line
// must be an error, and no other line may be one.
package phantom

import jobrt "github.com/jobgen/jobgen/runtime"

type (
	receipt struct{ ID string }
	twin    struct{ ID string }
)

func wants(jobrt.Handle[receipt]) {}

func wantsAny(...jobrt.AnyHandle) {}

type forged struct{ jobrt.ID }

func (forged) Existed() bool  { return false }
func (forged) Replaced() bool { return false }
func (forged) MetDead() bool  { return false }

func use(h jobrt.Handle[receipt], other jobrt.Handle[twin]) {
	wants(h)
	wantsAny(h, other)
	wants(other)                        // ERROR cannot use other
	wants(jobrt.Handle[receipt](other)) // ERROR cannot convert other
	h = other                           // ERROR cannot use other
	_ = h == other                      // ERROR mismatched types
	wantsAny(forged{})                  // ERROR does not implement jobrt.AnyHandle
}
