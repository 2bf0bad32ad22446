package mistakes

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jobgen/jobgen/internal/proof"
)

// page is the document, and the folders below are what it talks of.
const (
	page    = "../../docs/mistakes.md"
	codes   = "../../gen/internal/diag/codes.go"
	rules   = "../../gen/internal/lock/compare.go"
	bench   = "../../bench/mistakes"
	benched = "../../bench/go.mod"
)

// stages are the words for when a mistake is told, in the order of the count.
var stages = []string{"compile", "generate", "check", "start", "run", "silent", "impossible", none}

// none stands where there is nothing to make the mistake with.
const none = "—"

// A row is one mistake.
type row struct {
	line     int
	number   int
	mistake  string
	seen     string
	jobgen   cell
	river    cell
	asynq    cell
	hangfire cell
	shown    string // the test in bench/mistakes, or ""
}

// A cell is when one system tells of a mistake.
type cell struct {
	text   string
	stage  string
	proofs []string // jobgen's tests
}

var (
	stageWord = regexp.MustCompile(`^\*\*([a-z]+)\*\*`)
	reference = regexp.MustCompile(`\[([\w.-]+/[\w.-]+)#(\d+)\]\(https://github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)\)`)
)

// rows reads the tables of the page.
func rows(t *testing.T) []row {
	t.Helper()
	var all []row
	for i, line := range proof.Lines(t, page) {
		if !regexp.MustCompile(`^\| \d+ \|`).MatchString(line) {
			continue
		}
		cells := proof.Cells(line)
		if len(cells) != 8 {
			t.Fatalf("line %d has %d cells", i+1, len(cells))
		}
		for n, c := range cells {
			if c == "" {
				t.Errorf("line %d: cell %d is empty", i+1, n+1)
			}
		}
		number, _ := strconv.Atoi(cells[0])
		r := row{line: i + 1, number: number, mistake: cells[1], seen: cells[2], shown: strings.Trim(cells[7], "`")}
		if r.shown == none {
			r.shown = ""
		}
		for n, c := range []*cell{&r.jobgen, &r.river, &r.asynq, &r.hangfire} {
			*c = readCell(t, i+1, cells[3+n])
		}
		all = append(all, r)
	}
	return all
}

func readCell(t *testing.T, line int, text string) cell {
	t.Helper()
	c := cell{text: text, stage: none}
	if m := stageWord.FindStringSubmatch(text); m != nil {
		c.stage = m[1]
	} else if !strings.HasPrefix(text, none) {
		t.Errorf("line %d: %q begins with no stage", line, text)
	}
	if !slices.Contains(stages, c.stage) {
		t.Errorf("line %d: no stage is called %q", line, c.stage)
	}
	c.proofs = proof.Names(text)
	return c
}

func TestTheTableIsWhole(t *testing.T) {
	all := rows(t)
	if len(all) < 40 {
		t.Fatalf("%d mistakes, want 40 at least", len(all))
	}
	seen := make(map[string]int)
	for i, r := range all {
		if r.number != i+1 {
			t.Errorf("line %d: number %d, want %d", r.line, r.number, i+1)
		}
		if before := seen[r.mistake]; before != 0 {
			t.Errorf("line %d: the mistake of line %d again", r.line, before)
		}
		seen[r.mistake] = r.line
		refs := reference.FindAllStringSubmatch(r.seen, -1)
		if len(refs) == 0 {
			t.Errorf("line %d: %q is no link to where it was seen", r.line, r.seen)
		}
		for _, m := range reference.FindAllStringSubmatch(r.seen+r.hangfire.text, -1) {
			if m[1] != m[3] || m[2] != m[4] {
				t.Errorf("line %d: %s leads elsewhere", r.line, m[0])
			}
		}
		if r.jobgen.stage == "silent" || r.jobgen.stage == none {
			t.Errorf("line %d: jobgen says nothing of it", r.line)
		}
	}
}

func TestTheCountIsThatOfTheTable(t *testing.T) {
	systems := []string{"jobgen", "River", "asynq", "Hangfire"}
	counts := make([]map[string]int, len(systems))
	for i := range counts {
		counts[i] = make(map[string]int)
	}
	for _, r := range rows(t) {
		for i, c := range []cell{r.jobgen, r.river, r.asynq, r.hangfire} {
			counts[i][c.stage]++
		}
	}
	for i, system := range systems {
		before := counts[i]["compile"] + counts[i]["generate"] + counts[i]["check"] + counts[i]["impossible"]
		all := 0
		want := []string{system}
		for _, s := range stages {
			want = append(want, strconv.Itoa(counts[i][s]))
			if s != none {
				all += counts[i][s]
			}
		}
		want = append(want, strconv.Itoa(before)+" of "+strconv.Itoa(all))
		line := "| " + strings.Join(want, " | ") + " |"
		if !slices.Contains(proof.Lines(t, page), line) {
			t.Errorf("the count has no line\n%s", line)
		}
		if system == "jobgen" && before*10 < all*9 {
			t.Errorf("jobgen finds %d of %d before they run, fewer than 9 in 10", before, all)
		}
	}
}

func TestThePeersVersionsAreThoseOfTheBench(t *testing.T) {
	mod := proof.Read(t, benched)
	text := strings.Join(strings.Fields(proof.Read(t, page)), " ")
	for name, module := range map[string]string{"River": "github.com/riverqueue/river", "asynq": "github.com/hibiken/asynq"} {
		m := regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(module) + ` (v\S+)`).FindStringSubmatch(mod)
		if m == nil {
			t.Fatalf("bench requires no %s", module)
		}
		if want := name + " " + m[1]; !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
