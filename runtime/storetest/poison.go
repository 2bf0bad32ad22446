package storetest

import (
	"fmt"
	"strings"
	"time"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// poisons are Finishes that some database cannot store.
var poisons = []struct {
	name string
	make func(jobrt.Ref) jobrt.Finish
}{
	{"a result with a NUL byte", func(r jobrt.Ref) jobrt.Finish { return succeedWith(r, "{\"a\":\"\x00\"}") }},
	{"a result with an escaped NUL", func(r jobrt.Ref) jobrt.Finish { return succeedWith(r, `{"a":"\u0000"}`) }},
	{"a result with invalid UTF-8", func(r jobrt.Ref) jobrt.Finish { return succeedWith(r, "{\"a\":\"\xff\xfe\"}") }},
	{"a result with a lone surrogate", func(r jobrt.Ref) jobrt.Finish { return succeedWith(r, `{"a":"\ud800"}`) }},
	{"a result that is not JSON", func(r jobrt.Ref) jobrt.Finish { return succeedWith(r, `{"a":`) }},
	{"an error with a NUL byte", func(r jobrt.Ref) jobrt.Finish {
		f := fail(r, time.Hour)
		f.Error = failure("bad\x00byte")
		return f
	}},
	{"an error with invalid UTF-8", func(r jobrt.Ref) jobrt.Finish {
		f := die(r, jobrt.DeadPermanent)
		f.Error = failure("bad \xc3\x28")
		return f
	}},
	{"a stack with a NUL byte", func(r jobrt.Ref) jobrt.Finish {
		f := cancel(r)
		f.Error.Stack = "main\x00"
		return f
	}},
	{"an unknown verdict", func(r jobrt.Ref) jobrt.Finish { return jobrt.Finish{Ref: r, Verdict: "maybe"} }},
}

var poisonCases = append([]testCase{
	{name: "odd but valid texts come back as they were", run: func(e *env) {
		w := e.worker()
		texts := []string{
			`"quotes" 'and' \back\\slashes\`, `{a,b},"c",NULL`, "lines\nand\ttabs\r\n", `\u0000 \x00 \n`, "größe 世界 🧾",
			`$1 $$ ? :name %s %d`, "\u2028\u2029\ufeff", "a\x01\x1f\x7f\u0080b", `');DROP TABLE jobs;--`, `[1,"x"]`, `null`,
			strings.Repeat("long ä ", 20_000),
		}
		e.insert(newJobs(len(texts))...)
		var fs []jobrt.Finish
		for i, j := range w.claim(len(texts)) {
			f := fail(j.Ref, time.Hour)
			f.Error = &jobrt.AttemptError{Message: texts[i], Stack: texts[i], Fingerprint: "00112233aabbccdd"}
			fs = append(fs, f)
		}
		e.mustFinish(fs...)
		for i, f := range fs {
			info := e.job(f.ID)
			if info.Error != texts[i] {
				e.Errorf("error %.40q is shown as %.40q", texts[i], info.Error)
			}
			if len(info.Attempts) != 1 || info.Attempts[0].Error != texts[i] || info.Attempts[0].Stack != texts[i] {
				e.Errorf("attempt's error %.40q differs: %+.200v", texts[i], info.Attempts)
			}
		}
	}},
	{name: "results come back byte for byte", run: func(e *env) {
		w := e.worker()
		results := []string{
			`null`, `0`, `"x"`, `{"b":1,"a":2,"b":3}`, "{ \"n\" : 1.00 ,\n\"e\":1E+400 }", `{"t":"größe 🧾 \u00e9 \\ \"{,}"}`,
			`{"blob":"` + strings.Repeat("0123456789", 100_000) + `"}`,
		}
		e.insert(newJobs(len(results))...)
		var fs []jobrt.Finish
		for i, j := range w.claim(len(results)) {
			fs = append(fs, succeedWith(j.Ref, results[i]))
		}
		e.mustFinish(fs...)
		for i, f := range fs {
			if got := string(e.job(f.ID).Result); got != results[i] {
				e.Errorf("result %.60q is shown as %.60q", results[i], got)
			}
		}
	}},
	{name: "several poisoned rows in one batch are told apart", run: func(e *env) {
		w := e.worker()
		e.insert(newJobs(300)...)
		var fs []jobrt.Finish
		for i, j := range w.claim(300) {
			f := succeed(j.Ref)
			if i%30 == 7 {
				f = poisons[i/30%len(poisons)].make(j.Ref)
			}
			fs = append(fs, f)
		}
		for i, r := range e.finish(fs...) {
			if i%30 == 7 {
				e.checkPoisoned(fs[i], r)
			} else if r.Status != jobrt.Finished {
				e.Errorf("result %d: %s", i, statusText(r))
			}
		}
	}},
}, poisonEachCases()...)

// poisonEachCases has one case for each poison: it may be stored, or refused by its own result, but it never harms the
// other rows of its batch and never keeps its own job from ending.
func poisonEachCases() []testCase {
	var cases []testCase
	for _, p := range poisons {
		cases = append(cases, testCase{
			name: fmt.Sprintf("%s among 500 harms no other row", p.name),
			run: func(e *env) {
				w := e.worker()
				e.insert(newJobs(500)...)
				var fs []jobrt.Finish
				for i, j := range w.claim(500) {
					f := succeedWith(j.Ref, fmt.Sprintf(`{"n":%d}`, i))
					if i == 137 {
						f = p.make(j.Ref)
					}
					fs = append(fs, f)
				}
				for i, r := range e.finish(fs...) {
					switch {
					case i == 137:
						e.checkPoisoned(fs[i], r)
					case r.Status != jobrt.Finished:
						e.Fatalf("result %d: %s", i, statusText(r))
					}
				}
				for _, i := range []int{0, 136, 138, 499} {
					if info := e.wantState(fs[i].ID, jobrt.StateSucceeded); string(info.Result) != fmt.Sprintf(`{"n":%d}`, i) {
						e.Errorf("result %d is %q", i, info.Result)
					}
				}
			},
		})
	}
	return cases
}

// checkPoisoned judges what became of a poisoned Finish.
func (e *env) checkPoisoned(f jobrt.Finish, r jobrt.FinishResult) {
	e.Helper()
	switch r.Status {
	case jobrt.Finished:
		if info := e.job(f.ID); info.State == jobrt.StateRunning {
			e.Errorf("job %s is called finished and still running", f.ID)
		} else if f.Result != nil && string(info.Result) != string(f.Result) {
			e.Errorf("job %s is called finished, but its result %q is shown as %q", f.ID, f.Result, info.Result)
		}
	case jobrt.FinishRefused:
		if r.Err == nil {
			e.Errorf("job %s: refused without an error", f.ID)
		}
		e.wantState(f.ID, jobrt.StateRunning)
		e.mustFinish(die(f.Ref, jobrt.DeadPermanent)) // the caller's way out
		if info := e.wantState(f.ID, jobrt.StateDead); len(info.Attempts) > 1 {
			e.Errorf("job %s: the refused attempt left a record: %+v", f.ID, info.Attempts)
		}
	default:
		e.Errorf("job %s: %s, want finished or refused", f.ID, statusText(r))
	}
}
