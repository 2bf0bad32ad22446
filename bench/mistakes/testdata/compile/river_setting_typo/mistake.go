// Package mistake misspells a setting.
package mistake

import "github.com/riverqueue/river"

var Opts = river.InsertOpts{MaxAttemps: 3}
