package check

import (
	"cmp"
	"fmt"
	"go/types"
	"slices"
	"strings"
	"time"

	"github.com/jobgen/jobgen/gen/internal/diag"
	"github.com/jobgen/jobgen/gen/internal/load"
	"github.com/jobgen/jobgen/gen/internal/model"
)

// level says where a setting comes from: the more specific wins.
type level int

const (
	moduleLevel level = iota + 1
	packageLevel
	jobLevel
)

// merged are the settings of one job, defaults merged in.
type merged map[string]mergedSetting

type mergedSetting struct {
	*load.Setting
	level level
}

// has returns the level of a key, 0 when it isn't set.
func (m merged) has(key string) level { return m[key].level }

// pos returns the place of a key, or another when it isn't set.
func (m merged) pos(key string, other model.Pos) model.Pos {
	if s, ok := m[key]; ok {
		return s.Pos
	}
	return other
}

func (m merged) text(key string) string {
	if s, ok := m[key]; ok {
		return s.Text()
	}
	return ""
}

func (m merged) number(key string, def int) int {
	if s, ok := m[key]; ok {
		return int(s.Values[0].Int)
	}
	return def
}

func (m merged) duration(key string) time.Duration {
	if s, ok := m[key]; ok {
		return s.Values[0].Duration
	}
	return 0
}

func (m merged) list(key string) []string {
	var vs []string
	if s, ok := m[key]; ok {
		for _, v := range s.Values {
			vs = append(vs, v.Text)
		}
	}
	return vs
}

// merge returns the settings of a job: those of its //job: lines over the
// defaults.
func (c *checker) merge(f *load.Func) merged {
	m := c.defaultsFor(f)
	for i := range f.Settings {
		m[f.Settings[i].Key.Name] = mergedSetting{&f.Settings[i], jobLevel}
	}
	return m
}

// defaultsFor returns the settings of the //job:defaults lines that hold for f.
func (c *checker) defaultsFor(f *load.Func) merged {
	m := merged{}
	for _, d := range c.src.Defaults {
		l := packageLevel
		if d.Package == "" {
			l = moduleLevel
		} else if d.Package != f.Package.Path {
			continue
		}
		for i := range d.Settings {
			m[d.Settings[i].Key.Name] = mergedSetting{&d.Settings[i], l}
		}
	}
	return m
}

// settings fills in what annotations say about a job.
func (c *checker) settings(f *load.Func, j *model.Job, service string, args *types.Named) merged {
	m := c.merge(f)
	if !f.Faulty { // what seems to be missing may be what could not be read
		c.consistent(m)
	}
	s := &j.Settings
	s.Queue = cmp.Or(m.text("queue"), model.DefaultQueue)
	if m.has("queue") == jobLevel {
		c.knownQueue(m["queue"].Setting)
	}
	s.Priority = m.number("priority", model.DefaultPriority)
	s.Version = m.number("version", model.DefaultVersion)
	s.Timeout = m.duration("timeout")
	s.Expires = m.duration("expires")
	s.Tags = m.list("tags")
	s.Keep = m.text("keep") == "true"
	s.Deprecated = m.text("deprecated")

	s.Retry = m.number("retry", model.DefaultRetry)
	if m.has("delays") > max(m.has("backoff"), m.has("backoff-base"), m.has("backoff-max"), m.has("backoff-jitter")) {
		for _, v := range m["delays"].Values {
			s.Delays = append(s.Delays, v.Duration)
		}
		if m.has("delays") > m.has("retry") {
			s.Retry = len(s.Delays)
		}
	}
	s.Backoff = model.Backoff{Kind: model.BackoffKind(m.text("backoff")), Base: m.duration("backoff-base"), Max: m.duration("backoff-max"), Jitter: m.text("backoff-jitter")}
	s.Breaker = model.Breaker{Failures: m.number("breaker", 0), Wait: m.duration("breaker-wait")}

	if u, ok := m["unique"]; ok && u.Text() != "false" {
		s.Unique = &model.Unique{All: u.Text() == "true", For: m.duration("unique-for")}
		if until := m.text("unique-until"); until != "ended" {
			s.Unique.Until = until
		}
		s.Unique.Replace = m.text("on-conflict") == "replace"
		s.Unique.Debounce, s.Unique.DebounceMax = m.duration("debounce"), m.duration("debounce-max")
		if !s.Unique.All {
			s.Unique.Fields = c.fieldRefs(f, u.Setting, args)
		}
	}
	if text := m.text("once"); text != "self" {
		s.Once = c.refs(f, m, "once", args)
	}
	c.limits(f, m, s, args)
	s.Permanent = c.permanent(f, m)
	s.Discard = m.text("on-exhausted") == "discard"
	s.RerunInDoubt = m.text("in-doubt") == "rerun" && s.Once != nil

	if stub := m.text("stub"); stub != "" {
		j.Stub = stub
	}
	j.Name = service + "/" + cmp.Or(m.text("name"), j.GoName())
	for _, a := range m.list("alias") {
		if !strings.Contains(a, "/") {
			a = service + "/" + a
		}
		s.Aliases = append(s.Aliases, a)
	}
	for name, set := range m {
		s.Declared = append(s.Declared, model.Setting{Key: name, Value: set.Text(), ForAll: m.has(name) == moduleLevel})
	}
	slices.SortFunc(s.Declared, func(a, b model.Setting) int { return cmp.Compare(a.Key, b.Key) })
	return m
}

// consistent reports settings that contradict or need each other.
func (c *checker) consistent(m merged) {
	at := func(key string) *load.Setting { return m[key].Setting }
	c.needs(m, "unique-for", "unique")
	c.needs(m, "unique-until", "unique")
	c.needs(m, "on-conflict", "unique")
	c.needs(m, "debounce", "unique")
	c.needs(m, "debounce-max", "debounce")
	c.needs(m, "breaker-wait", "breaker")
	c.needs(m, "concurrency-key", "concurrency")
	c.needs(m, "rate-key", "rate")
	c.needs(m, "verify", "once")
	c.needs(m, "in-doubt", "once")
	for _, key := range []string{"verify", "in-doubt"} {
		if m.text("once") == "self" && m.has(key) == jobLevel {
			c.report("JG007", at(key).Pos, key+" does nothing with once=self: the handler settles what is in doubt by jobrt.OnceVerified")
		}
	}
	c.timing(m)
	c.excludes(m, "delays", "backoff", "delays names every wait")
	c.excludes(m, "delays", "backoff-base", "delays names every wait")
	c.excludes(m, "delays", "backoff-max", "delays names every wait")
	c.excludes(m, "delays", "backoff-jitter", "delays names every wait")
	for _, key := range []string{"unique-for", "unique-until", "on-conflict"} {
		c.excludes(m, "debounce", key, "debounce holds the key until the start, and replaces")
	}
	for _, key := range []string{"cron", "every"} {
		c.excludes(m, "debounce", key, "a run of a schedule has its time")
	}
	if d, most := m.duration("debounce"), m.duration("debounce-max"); d > 0 && most > 0 && most < d {
		c.report("JG007", at("debounce-max").Pos, fmt.Sprintf("debounce-max %v is shorter than debounce %v", most, d))
	}
	if base, top := m.duration("backoff-base"), m.duration("backoff-max"); base > 0 && top > 0 && base > top {
		c.report("JG007", at("backoff-base").Pos, fmt.Sprintf("backoff-base %v is longer than backoff-max %v", base, top))
	}
	if n := len(m.list("delays")); n > 0 && m.has("retry") == m.has("delays") && m.number("retry", 0) < n {
		c.report("JG007", at("retry").Pos, fmt.Sprintf("retry=%d leaves some of the %d delays unused; drop retry, or raise it", m.number("retry", 0), n))
	}
}

// needs reports a setting of the job itself that does nothing without one of
// the others.
func (c *checker) needs(m merged, key string, others ...string) {
	if m.has(key) != jobLevel {
		return
	}
	for _, o := range others {
		if m.has(o) > 0 {
			return
		}
	}
	c.report("JG007", m[key].Pos, key+" does nothing without "+strings.Join(others, " or "))
}

// excludes reports two settings of one level that contradict each other.
func (c *checker) excludes(m merged, key, other, why string) {
	if m.has(key) > 0 && m.has(key) == m.has(other) {
		c.report("JG007", m[key].Pos, key+" and "+other+" exclude each other: "+why,
			diag.Note{Pos: m[other].Pos, Message: other + " is set here"})
	}
}

// declaredQueues reads the //jobqueue: lines.
func (c *checker) declaredQueues() []*model.Queue {
	var qs []*model.Queue
	for _, q := range c.src.Queues {
		if old := c.queues[q.Name]; old != nil {
			c.report("JG022", q.Pos, "queue "+q.Name+" is declared twice", diag.Note{Pos: old.Pos, Message: "first declared here"})
			continue
		}
		mq := &model.Queue{Name: q.Name, Pos: q.Pos}
		for _, s := range q.Settings {
			mq.Declared = append(mq.Declared, model.Setting{Key: s.Key.Name, Value: s.Text()})
			if s.Key.Name == "workers" {
				mq.Workers = int(s.Values[0].Int)
			}
		}
		slices.SortFunc(mq.Declared, func(a, b model.Setting) int { return cmp.Compare(a.Key, b.Key) })
		c.queues[q.Name] = mq
		qs = append(qs, mq)
	}
	slices.SortFunc(qs, func(a, b *model.Queue) int { return cmp.Compare(a.Name, b.Name) })
	return qs
}

// defaultQueues checks the queues that //job:defaults name, once each.
func (c *checker) defaultQueues() {
	for _, d := range c.src.Defaults {
		for i := range d.Settings {
			if d.Settings[i].Key.Name == "queue" {
				c.knownQueue(&d.Settings[i])
			}
		}
	}
}

// knownQueue reports a queue that isn't declared while others are. The default
// queue needs no declaration.
func (c *checker) knownQueue(s *load.Setting) {
	name := s.Text()
	if len(c.queues) == 0 || c.queues[name] != nil || name == model.DefaultQueue {
		return
	}
	var known []string
	for n := range c.queues {
		known = append(known, n)
	}
	slices.Sort(known)
	hint := "; declare it with //jobqueue:" + name + " or use one of: " + strings.Join(known, " ")
	near := diag.Suggest(name, known)
	if near != "" {
		hint = diag.DidYouMean(name, known)
	}
	d := c.report("JG008", s.ValuePos(0), "unknown queue \""+name+"\""+hint)
	d.End = s.ValueEnd(0)
	if near != "" {
		d.Related = []diag.Note{{Pos: c.queues[near].Pos, Message: near + " is declared here"}}
		d.Fixes = s.ValueFix(0, near)
	}
}
