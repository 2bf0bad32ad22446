package directive

import (
	"fmt"
	"go/ast"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanReadsItems(t *testing.T) {
	tests := []struct {
		text string
		want string // class, queue, then key=value of each item
	}{
		{`//job:handler`, "job handler=true"},
		{`//job:queue=billing retry=3`, "job queue=billing retry=3"},
		{"//job:queue=billing\t retry=03 ", "job queue=billing retry=3"},
		{`//job:tags=a,b,"c" keep`, "job tags=a,b,c keep=true"},
		{`//job:cron="0 2 1 * *" tz=Europe/Berlin`, "job cron=0 2 1 * * tz=Europe/Berlin"},
		{"//job:deprecated=`use \"that\"`", `job deprecated=use "that"`},
		{`//job:deprecated="a, b = c\u00e9"`, "job deprecated=a, b = cé"},
		{`//job:handler "tags=a,b" "keep"`, "job handler=true tags=a,b keep=true"},
		{`//job:unique`, "job unique=true"},
		{`//job:unique=InvoiceID,Customer.ID unique-for=24h`, "job unique=InvoiceID,Customer.ID unique-for=24h0m0s"},
		{`//job:delays=1m,1m,90s`, "job delays=1m0s,1m0s,1m30s"},
		{`//job:alias=old/billing.Send,billing.Mail`, "job alias=old/billing.Send,billing.Mail"},
		{`//job:rate=0100/m once=self keep=false`, "job rate=100/m once=self keep=false"},
		{`//job:defaults`, "defaults"},
		{`//job:defaults queue=a timeout=1m`, "defaults queue=a timeout=1m0s"},
		{`//job:schedule name=night cron="0 2 * * *" tz=Asia/Tokyo calendar=a,b`, "schedule name=night cron=0 2 * * * tz=Asia/Tokyo calendar=a,b"},
		{"//job:schedule\tevery=90m from=2027-01-01T08:00 count=3", "schedule every=1h30m0s from=2027-01-01T08:00 count=3"},
		{`//jobqueue:billing.eu workers=5 owner="team a" fail-budget=0.5%`, "queue billing.eu workers=5 owner=team a fail-budget=0.5%"},
	}
	for _, tt := range tests {
		line, problems := Scan(tt.text)
		if len(problems) > 0 {
			t.Errorf("Scan(%q) problems: %+v", tt.text, problems)
		}
		if got := spell(line); got != tt.want {
			t.Errorf("Scan(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func spell(line Line) string {
	parts := []string{map[Class]string{Job: "job", Defaults: "defaults", Queue: "queue", Schedule: "schedule"}[line.Class]}
	if line.Class == Queue {
		parts = append(parts, line.Queue)
	}
	for _, it := range line.Items {
		parts = append(parts, it.Key.Name+"="+it.Text())
	}
	return strings.Join(parts, " ")
}

// TestScanGoesOnAfterAFault checks that good items around a bad one are kept.
func TestScanGoesOnAfterAFault(t *testing.T) {
	for _, bad := range []string{
		"qeue=a", "retry=x", "a,b", "=x", `"unfinished=1`, `deprecated="a"b`, `tags=a=b`, "retry:3", "timeout", "timeout=",
		"priority=1,2", `x"y"`,
	} {
		text := "//job:handler " + bad
		if !strings.HasPrefix(bad, `"`) { // an unfinished text takes the rest of the line
			text += " keep"
		}
		line, problems := Scan(text)
		if len(problems) != 1 {
			t.Errorf("Scan(%q): %d problems, want 1: %+v", text, len(problems), problems)
		}
		if got := spell(line); !strings.HasPrefix(got, "job handler=true") || strings.HasSuffix(text, "keep") != strings.HasSuffix(got, "keep=true") {
			t.Errorf("Scan(%q) kept %q", text, got)
		}
	}
}

func TestFixesRepairTheLine(t *testing.T) {
	tests := []struct{ text, want string }{
		{"//job:qeue=billing", "//job:queue=billing"},
		{"//job:queue=a,retry=3", "//job:queue=a retry=3"},
		{"//job:tags=a,retry=3", "//job:tags=a retry=3"},
		{"//job:handler,keep", "//job:handler keep"},
		{"//job:retry:3", "//job:retry=3"},
		{"//job:cron=0 2 1 * * tz=UTC", `//job:cron="0 2 1 * *" tz=UTC`},
		{"//job:deprecated=a=b keep", `//job:deprecated="a=b" keep`},
		{"//job:queue=a // why", "//job:queue=a "},
	}
	for _, tt := range tests {
		_, problems := Scan(tt.text)
		if len(problems) == 0 || problems[0].Fix == nil {
			t.Errorf("Scan(%q) proposes no fix", tt.text)
			continue
		}
		f := problems[0].Fix
		got := tt.text[:f.Pos] + f.New + tt.text[f.End:]
		if got != tt.want {
			t.Errorf("fix of %q = %q, want %q", tt.text, got, tt.want)
		}
		if _, left := Scan(got); len(left) > 0 {
			t.Errorf("fixed %q still has problems: %+v", got, left)
		}
	}
}

func TestClassify(t *testing.T) {
	tests := []struct {
		text string
		want Class
	}{
		{"//job:handler", Job}, {"//job:9", Job}, {"//job:default", Job}, {"//job:defaultsx", Job},
		{"//job:schedule", Schedule}, {"//job:schedule\tcron=@daily", Schedule}, {"//job:schedules", Job}, {"// job:schedule cron=@daily", Miss},
		{"//job:defaults", Defaults}, {"//job:defaults retry=3", Defaults}, {"//jobqueue:a", Queue},
		{"//job:", Miss}, {"//job: ", Miss}, {"// job:queue=a", Miss}, {"// job: queue=a", Miss}, {"//job queue=a", Miss},
		{"//  job : queue=a", Miss}, {"//job:Queue=a", Miss}, {"/*job:queue=a*/", Miss}, {"/* job:queue=a\n*/", Miss},
		{"//JOB:queue=a", Miss}, {"//jobs:queue=a", Miss}, {"// jobqueue: a", Miss}, {"//jobqueue:", Miss}, {"///job:queue=a", Miss}, {"// +job:queue=a", Miss},
		{"//jobgen:queue=a", Miss}, {"//job：queue=a", Miss}, {"//job-queue:a", Miss}, {"//job_queue: a", Miss}, {`//job:"queue=a"`, Miss},
		{"// //job:queue=a", None}, {"////job:queue=a", None}, {"//jobgen: the generator", None}, {"// @job is prose", None},
		{"// job: handler", Miss},
		{"// job queues are fine", None}, {"// job: the unit of work", None}, {"// jobs: all of them", None},
		{"// Job is a unit of work.", None}, {"// job", None}, {"//jobless", None}, {"// jobs.Send=x", None}, {"//go:generate x", None},
		{"// job x=y", None}, {"//lint:ignore job", None}, {"/* job */", None}, {"", None}, {"x", None},
	}
	for _, tt := range tests {
		if got := Classify(tt.text); got != tt.want {
			t.Errorf("Classify(%q) = %d, want %d", tt.text, got, tt.want)
		}
	}
}

// TestNearMissesSayWhatToWrite checks that the proposed line has no fault.
func TestNearMissesSayWhatToWrite(t *testing.T) {
	tests := []struct{ text, want string }{
		{`//job:"queue=a" keep`, `//job:handler "queue=a" keep; a directive begins with a letter`},
		{"///job:queue=a", "//job:queue=a; Go takes this line for prose and the settings are lost"},
		{"//jobgen:queue=a", "//job:queue=a; the marker is //job:"},
		{"//job：queue=a", "//job:queue=a; the marker is //job:"},
		{"//job-queue:a workers=1", "//jobqueue:a workers=1; the marker is //jobqueue:"},
	}
	for _, tt := range tests {
		miss, ok := NearMiss(tt.text)
		if !ok || miss.Message != "write "+tt.want {
			t.Errorf("NearMiss(%q) = %q, want %q", tt.text, miss.Message, "write "+tt.want)
			continue
		}
		if _, problems := Scan(miss.Fix.New); len(problems) > 0 {
			t.Errorf("NearMiss(%q) proposes %q, which has problems: %+v", tt.text, miss.Fix.New, problems)
		}
	}
}

// TestClassifyAgreesWithGo checks that what jobgen takes for a directive is
// one to Go, so that gofmt and go doc leave it alone.
func TestClassifyAgreesWithGo(t *testing.T) {
	for _, text := range []string{"//job:handler", "//job:queue=billing retry=3", "//job:defaults retry=3", "//jobqueue:a.b workers=1", "//job:9"} {
		if _, ok := ast.ParseDirective(0, text); !ok || Classify(text) == None {
			t.Errorf("%q: directive to Go: %v, class %d", text, ok, Classify(text))
		}
	}
	for _, text := range []string{"//job:", "// job:queue=a", "//job:A", "//job: a"} {
		if _, ok := ast.ParseDirective(0, text); ok || Classify(text) != Miss {
			t.Errorf("%q: directive to Go: %v, class %d, want a near miss", text, ok, Classify(text))
		}
	}
}

// TestEveryKeyParsesItsExample keeps the table honest: help, examples, limits
// and groups are what explain and the documentation show.
func TestEveryKeyParsesItsExample(t *testing.T) {
	seen := map[string]bool{}
	for i := range keys {
		k := &keys[i]
		text := k.exampleLine()
		line, problems := Scan(text)
		if len(problems) > 0 || len(line.Items) != 1 || line.Items[0].Key.Name != k.Name {
			t.Errorf("example %q of %s: %+v %+v", text, k.Name, line, problems)
		}
		if k.Help == "" || strings.HasSuffix(k.Help, ".") || k.Group == "" || k.Scope == 0 {
			t.Errorf("%s: help %q, group %q, scope %d", k.Name, k.Help, k.Group, k.Scope)
		}
		for _, s := range []Scope{InJob, InDefaults, InQueue, InSchedule} {
			if id := fmt.Sprint(k.Name, s); k.Scope&s != 0 {
				if seen[id] {
					t.Errorf("%s stands twice in scope %d", k.Name, s)
				}
				seen[id] = true
			}
		}
		if !strings.Contains(Explain(k.Name), k.Example) || !strings.Contains(Markdown(), "`"+k.Example+"`") {
			t.Errorf("%s: explain or the documentation lacks its example", k.Name)
		}
	}
	if Explain("nope") != "" {
		t.Error("explain knows a key that isn't there")
	}
}

// TestEveryArchitectureKeyIsThere holds the closed list itself: adding or
// losing a key is a decision.
func TestEveryArchitectureKeyIsThere(t *testing.T) {
	want := strings.Fields(`handler name alias stub version deprecated queue priority tags concurrency concurrency-key rate rate-key serial
		retry backoff backoff-base backoff-max backoff-jitter delays breaker breaker-wait timeout expires permanent on-exhausted then on-failure
		unique unique-for unique-until on-conflict once verify in-doubt debounce debounce-max cron every tz misfire grace overlap jitter from until count calendar singleton
		owner risk slo keep keep-for dead-for oncall escalation runbook workers fail-budget`)
	if diff := cmp.Diff(want, Names()); diff != "" {
		t.Error(diff)
	}
}

func FuzzScan(f *testing.F) {
	for i := range keys {
		f.Add(keys[i].exampleLine())
	}
	for _, s := range []string{
		"//job:queue=a,retry=3", "//job:cron=0 2 * *", `//job:"a=b`, "//job:tags=,,", "//job:a=\"\\x\"", "//job:defaults x", "//jobqueue:",
		"// job: queue=a", "/*job:x\ny*/", "//job:0 \"\xb1\xb10000\"", "//job:delays=1h,", "//job:\xff=\xfe", "//job:every=9999999999h", `//job:cron="@every 1ns"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\n") && !strings.HasPrefix(text, "/*") {
			return // a line comment has no newline
		}
		in := func(pos, end int) {
			if pos < 0 || pos > end || end > len(text) {
				t.Fatalf("%q: offsets %d..%d out of 0..%d", text, pos, end, len(text))
			}
		}
		if miss, ok := NearMiss(text); ok {
			in(miss.Pos, miss.End)
			if Classify(text) == Job || Classify(text) == Queue {
				t.Fatalf("%q is a directive and a near miss", text)
			}
		}
		line, problems := Scan(text)
		for _, p := range problems {
			in(p.Pos, p.End)
			if p.Message == "" || p.Code == "" {
				t.Fatalf("%q: empty problem %+v", text, p)
			}
			if p.Fix != nil {
				in(p.Fix.Pos, p.Fix.End)
			}
		}
		for _, it := range line.Items {
			in(it.Pos, it.End)
			for _, v := range it.Values {
				in(v.Pos, v.End)
			}
			// Canonical text is stable: reading it again gives the same.
			if again, problems := Scan(jobPrefix + it.Key.Name + "=" + quoteAll(it)); line.Class == Job && len(it.Values) > 0 &&
				(len(problems) > 0 || len(again.Items) != 1 || again.Items[0].Text() != it.Text()) {
				t.Fatalf("%q: canonical text %q of %s reads as %+v %+v", text, it.Text(), it.Key.Name, again, problems)
			}
		}
	})
}

func quoteAll(it Item) string {
	var vs []string
	for _, v := range it.Values {
		vs = append(vs, fmt.Sprintf("%q", v.Text))
	}
	return strings.Join(vs, ",")
}
