// Package diag holds what jobgen reports about a user's code: diagnostics with
// positions, notes and suggested fixes, their text and JSON forms, and the
// table of codes with their explanations.
package diag

import (
	"cmp"
	"slices"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// Diagnostic is one problem in the user's code.
type Diagnostic struct {
	Code    string // "JG003"; every code is in the table of Codes
	Pos     model.Pos
	End     model.Pos // exclusive; the zero value means Pos
	Message string    // lower case, without code and position
	Warning bool      // it does not keep code from being generated
	Related []Note
	Fixes   []Fix
}

// Note points at a second place that explains a Diagnostic. A note without a
// valid position is general advice.
type Note struct {
	Pos     model.Pos
	Message string
}

// Fix is a change that would resolve a Diagnostic. Its edits belong together.
type Fix struct {
	Message string
	Edits   []Edit
}

// Edit replaces the bytes from Start to End of a file by New.
type Edit struct {
	File       string // absolute path
	Start, End int    // byte offsets, End exclusive
	New        string
}

// Sort orders diagnostics by file, position, code and message, and removes
// exact repetitions.
func Sort(ds []Diagnostic) []Diagnostic {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Offset, b.Pos.Offset),
			cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.CompactFunc(ds, func(a, b Diagnostic) bool {
		return a.Pos == b.Pos && a.Code == b.Code && a.Message == b.Message
	})
}

// ShiftColumns returns p moved by n bytes on its line.
func ShiftColumns(p model.Pos, n int) model.Pos {
	p.Offset += n
	p.Column += n
	return p
}
