// Package mistake sets one thing twice.
package mistake

import "github.com/riverqueue/river"

var Opts = river.InsertOpts{MaxAttempts: 3, Queue: "mail", MaxAttempts: 5}
