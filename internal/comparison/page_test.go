package comparison

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jobgen/jobgen/internal/proof"
)

// page is the document, and harness the file that names the themes of the
// contract of stores.
const (
	page    = "../../docs/comparison.md"
	harness = "../../runtime/storetest/harness.go"
)

var (
	verdict  = regexp.MustCompile(`^(?:(yes|part|no|Pro|Ace|—)(?:[:;,] .+)?|\?\[\^([a-z-]+)\])$`)
	note     = regexp.MustCompile(`^\[\^([a-z-]+)\]: \S`)
	date     = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	contract = regexp.MustCompile(`^Test\w*Contract$`)
)

// A table is one table of the page, with the heading above it.
type table struct {
	heading string
	header  []string
	rows    []row
}

// A row is a line of a table.
type row struct {
	line  int
	cells []string
}

// tables reads the tables of the page, and the notes below them.
func tables(t *testing.T) (all []table, notes map[string]bool) {
	t.Helper()
	notes = make(map[string]bool)
	heading, within := "", false
	for i, line := range proof.Lines(t, page) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			heading = h
		}
		if m := note.FindStringSubmatch(line); m != nil {
			notes[m[1]] = true
		}
		if !strings.HasPrefix(line, "|") {
			within = false
			continue
		}
		cells := proof.Cells(line)
		switch {
		case !within:
			all = append(all, table{heading: heading, header: cells})
		case strings.Trim(line, "|-:") != "":
			last := &all[len(all)-1]
			last.rows = append(last.rows, row{line: i + 1, cells: cells})
			if len(cells) != len(last.header) {
				t.Errorf("line %d has %d cells, want %d", i+1, len(cells), len(last.header))
			}
			for n, c := range cells {
				if c == "" {
					t.Errorf("line %d: cell %d is empty", i+1, n+1)
				}
			}
		}
		within = true
	}
	return all, notes
}

// compared returns the tables that compare, which have a column for jobgen.
func compared(t *testing.T) []table {
	t.Helper()
	all, _ := tables(t)
	return slices.DeleteFunc(all, func(tb table) bool { return len(tb.header) < 2 || tb.header[1] != "jobgen" })
}

func TestJobgensCellsAreProved(t *testing.T) {
	funcs, themes := proof.Funcs(t, "../.."), proof.Read(t, harness)
	for _, tb := range compared(t) {
		for _, r := range tb.rows {
			ours := r.cells[1]
			names := proof.Names(ours)
			if len(names) == 0 && ours != "no" && !strings.HasPrefix(ours, "no: ") {
				t.Errorf("line %d: %q names no test", r.line, ours)
			}
			for _, name := range names {
				name, theme, hasTheme := strings.Cut(name, "/")
				switch {
				case !proof.IsFunc(name):
					if _, err := os.Stat(filepath.Join(proof.Scripts, name+".txtar")); err != nil {
						t.Errorf("line %d: %v", r.line, err)
					}
				case !funcs[name]:
					t.Errorf("line %d: there is no %s", r.line, name)
				case hasTheme && (!contract.MatchString(name) || !strings.Contains(themes, `{"`+theme+`", `)):
					t.Errorf("line %d: the contract of stores has no theme %s", r.line, theme)
				}
			}
		}
	}
}

func TestTheTablesAreWhole(t *testing.T) {
	_, notes := tables(t)
	used := make(map[string]bool)
	seen := make(map[string]int)
	total := 0
	for _, tb := range compared(t) {
		if first := compared(t)[0].header; !slices.Equal(tb.header, first) {
			t.Errorf("%s: the systems are %v, want %v", tb.heading, tb.header, first)
		}
		for _, r := range tb.rows {
			total++
			if before := seen[r.cells[0]]; before != 0 {
				t.Errorf("line %d: the row of line %d again", r.line, before)
			}
			seen[r.cells[0]] = r.line
			for n, c := range r.cells[1:] {
				if n == 0 {
					c, _, _ = strings.Cut(c, " · ")
				}
				m := verdict.FindStringSubmatch(c)
				if m == nil {
					t.Errorf("line %d: %q begins with no word of the page", r.line, c)
				} else if m[2] != "" {
					used[m[2]] = true
					if !notes[m[2]] {
						t.Errorf("line %d: there is no note %s", r.line, m[2])
					}
				}
			}
		}
	}
	if total < 120 {
		t.Errorf("%d rows, want 120 at least", total)
	}
	for n := range notes {
		if !used[n] {
			t.Errorf("no cell has note %s", n)
		}
	}
	if len(notes) > 12 {
		t.Errorf("%d cells or kinds of cells could not be checked, which is too many to publish", len(notes))
	}
}

// TestEverySystemHasItsVersionAndSource holds the list of what was read, and
// when, against the columns.
func TestEverySystemHasItsVersionAndSource(t *testing.T) {
	all, _ := tables(t)
	read := make(map[string]row)
	for _, tb := range all {
		if tb.heading == "Read" && tb.header[0] == "System" {
			for _, r := range tb.rows {
				read[r.cells[0]] = r
			}
		}
	}
	text := proof.Read(t, page)
	for _, system := range compared(t)[0].header[1:] {
		r, ok := read[system]
		if !ok {
			t.Errorf("nothing says which version of %s was read", system)
			continue
		}
		delete(read, system)
		if of, on := r.cells[2], r.cells[3]; of != "—" && !date.MatchString(of) || !date.MatchString(on) {
			t.Errorf("line %d: %q and %q are no dates", r.line, of, on)
		}
		if system != "jobgen" && !strings.Contains(text, "\n- **"+system+"**: ") {
			t.Errorf("%s has no sources", system)
		}
	}
	for system := range read {
		t.Errorf("no column is that of %s", system)
	}
}

func TestWhatIsDeclinedHasItsReason(t *testing.T) {
	all, _ := tables(t)
	for _, tb := range all {
		if tb.heading == "What jobgen declines" {
			for _, r := range tb.rows {
				if len(strings.Fields(r.cells[len(r.cells)-1])) < 8 {
					t.Errorf("line %d: %q is declined without a reason", r.line, r.cells[0])
				}
			}
			return
		}
	}
	t.Error("the page says nowhere what is declined")
}
