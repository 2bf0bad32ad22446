package diag

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jobgen/jobgen/gen/internal/model"
)

// WriteText prints one line per diagnostic,
//
//	path:line:col: message [JGnnn]
//
// with "warning: " before the message of one, followed by its notes, indented by a tab. Paths are relative to dir and use forward
// slashes.
func WriteText(w io.Writer, dir string, ds []Diagnostic) error {
	var b strings.Builder
	for _, d := range ds {
		if d.Pos.File != "" {
			b.WriteString(Place(dir, d.Pos) + ": ")
		}
		if d.Warning {
			b.WriteString("warning: ")
		}
		fmt.Fprintf(&b, "%s [%s]\n", d.Message, d.Code)
		for _, n := range d.Related {
			b.WriteByte('\t')
			if n.Pos.File != "" {
				b.WriteString(Place(dir, n.Pos) + ": ")
			}
			b.WriteString(n.Message + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Place returns p as path:line:col, or as the path alone when p is a whole
// file or directory.
func Place(dir string, p model.Pos) string {
	file := Rel(dir, p.File)
	if !p.IsValid() {
		return file
	}
	return file + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// Rel returns file relative to dir with forward slashes, or file itself when
// that is shorter (as for a file of the Go installation).
func Rel(dir, file string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && len(rel) <= len(file) {
		file = rel
	}
	return filepath.ToSlash(file)
}

// The JSON form uses the keys of go vet -json, one object a line.
type (
	jsonDiagnostic struct {
		Posn           string     `json:"posn"`
		End            string     `json:"end"`
		Category       string     `json:"category"`
		Message        string     `json:"message"`
		Severity       string     `json:"severity,omitempty"` // "warning" or absent
		SuggestedFixes []jsonFix  `json:"suggested_fixes,omitempty"`
		Related        []jsonNote `json:"related,omitempty"`
	}
	jsonFix struct {
		Message string     `json:"message"`
		Edits   []jsonEdit `json:"edits"`
	}
	jsonEdit struct {
		Filename string `json:"filename"`
		Start    int    `json:"start"`
		End      int    `json:"end"`
		New      string `json:"new"`
	}
	jsonNote struct {
		Posn    string `json:"posn"`
		End     string `json:"end"`
		Message string `json:"message"`
	}
)

// WriteJSON prints one JSON object per line and diagnostic, with the keys that
// go vet -json uses: posn, end, category (the code), message, suggested_fixes
// and related. Paths are as WriteText prints them, but for edits, whose
// filename is absolute so that any tool can apply them.
func WriteJSON(w io.Writer, dir string, ds []Diagnostic) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, d := range ds {
		end := d.End
		if end == (model.Pos{}) {
			end = d.Pos
		}
		j := jsonDiagnostic{Posn: Place(dir, d.Pos), End: Place(dir, end), Category: d.Code, Message: d.Message}
		if d.Warning {
			j.Severity = "warning"
		}
		for _, f := range d.Fixes {
			jf := jsonFix{Message: f.Message, Edits: []jsonEdit{}}
			for _, e := range f.Edits {
				jf.Edits = append(jf.Edits, jsonEdit{e.File, e.Start, e.End, e.New})
			}
			j.SuggestedFixes = append(j.SuggestedFixes, jf)
		}
		for _, n := range d.Related {
			at := Place(dir, n.Pos)
			j.Related = append(j.Related, jsonNote{at, at, n.Message})
		}
		if err := enc.Encode(j); err != nil {
			return err
		}
	}
	return nil
}
