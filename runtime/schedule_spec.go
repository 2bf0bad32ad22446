package jobrt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MisfirePolicy says what becomes of the ticks that were missed: those that are later than the grace, and those after
// which another one has come already.
type MisfirePolicy string

// The policies for missed ticks. What is not run is counted as missed.
const (
	MisfireOnce MisfirePolicy = "once" // one run for all of them, for the latest tick; the default
	MisfireAll  MisfirePolicy = "all"  // a run for each
	MisfireSkip MisfirePolicy = "skip" // none: only a tick that is within the grace is run
)

// OverlapPolicy says what to do when a tick is due and the job of the schedule's last run is still live.
type OverlapPolicy string

// The policies for overlapping runs.
const (
	OverlapAllow     OverlapPolicy = "allow"      // both go on; the default
	OverlapSkip      OverlapPolicy = "skip"       // the tick is not run, and counted as skipped
	OverlapQueue     OverlapPolicy = "queue"      // the new job waits until the old one has ended, however
	OverlapCancelOld OverlapPolicy = "cancel-old" // the old one is cancelled, and the new one waits until it has ended
)

// DefaultGrace is how late a run may be and still be on time. A shorter one than minGrace counts as that: nobody is more
// punctual than his timer.
const (
	DefaultGrace = time.Minute
	minGrace     = time.Second
)

// ScheduleSpec is what a schedule does.
type ScheduleSpec struct {
	// Exactly one of Cron and Every is set. Zone is that of Cron, an IANA name; empty for UTC.
	Cron  string
	Every time.Duration
	Zone  string
	// From, when not zero, is the first instant at which it may fire, Until the first at which it may not any more.
	From, Until time.Time
	// Count is the most runs of the timetable; 0 for no bound.
	Count   int
	Misfire MisfirePolicy
	// Grace is how late a run may be and still be on time; at least a second.
	Grace   time.Duration
	Overlap OverlapPolicy
	// Jitter bounds a delay of each tick that is derived from the schedule's name and the tick. It never reaches the next
	// tick.
	Jitter time.Duration
	// Calendars are names of calendars whose days are left out.
	Calendars []string
	// Options of each run.
	Options RunOptions
}

// RunOptions are what a schedule sets for the jobs of its runs, in place of the annotation's settings.
type RunOptions struct {
	Queue      string        `json:"queue,omitempty"`
	Priority   int           `json:"priority,omitempty"`
	MaxRetries *int          `json:"retry,omitempty"`
	Timeout    time.Duration `json:"-"`
	Expires    time.Duration `json:"-"`
	Tags       []string      `json:"tags,omitempty"`
	KeepResult bool          `json:"keep,omitempty"`
	Unique     *string       `json:"unique,omitempty"`
}

// ScheduleEdit is what an operator puts over a schedule. What is zero or nil stays as code or data say. By, Reason and
// At are filled in by the store.
type ScheduleEdit struct {
	// Cron with Zone, or Every, replaces when it fires.
	Cron  string
	Zone  string
	Every time.Duration
	// Misfire, Grace, Overlap, Jitter and Count replace those of the spec.
	Misfire MisfirePolicy
	Grace   *time.Duration
	Overlap OverlapPolicy
	Jitter  *time.Duration
	Count   *int
	// Args replace the arguments: a JSON object under the schema of the schedule's own.
	Args []byte

	By, Reason string
	At         time.Time
}

// IsZero reports whether the edit changes nothing.
func (e *ScheduleEdit) IsZero() bool {
	return e == nil || e.Cron == "" && e.Every == 0 && e.Misfire == "" && e.Grace == nil && e.Overlap == "" &&
		e.Jitter == nil && e.Count == nil && e.Args == nil
}

// edited is the spec with an edit over it.
func (s ScheduleSpec) edited(e *ScheduleEdit) ScheduleSpec {
	if e == nil {
		return s
	}
	if e.Cron != "" || e.Every != 0 {
		s.Cron, s.Zone, s.Every = e.Cron, e.Zone, e.Every
	}
	if e.Misfire != "" {
		s.Misfire = e.Misfire
	}
	if e.Overlap != "" {
		s.Overlap = e.Overlap
	}
	replace(&s.Grace, e.Grace)
	replace(&s.Jitter, e.Jitter)
	replace(&s.Count, e.Count)
	return s
}

func replace[T any](to *T, with *T) {
	if with != nil {
		*to = *with
	}
}

// Timing is what decides at which instants a schedule fires, as one text: a schedule of which it changes counts anew.
func (s ScheduleSpec) Timing() string {
	parts := []string{s.Cron, s.Every.String(), s.Zone, stamp(s.From), stamp(s.Until)}
	return strings.Join(append(parts, s.Calendars...), "|")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// check refuses what makes no sense, whatever the timetable.
func (s *ScheduleSpec) check() error {
	for name, d := range map[string]time.Duration{"Every": s.Every, "Grace": s.Grace, "Jitter": s.Jitter} {
		if d < 0 {
			return fmt.Errorf("%s %v is negative", name, d)
		}
	}
	switch {
	case (s.Cron != "") == (s.Every > 0):
		return errors.New("want exactly one of Cron and Every")
	case s.Every > 0 && s.Every < minEvery:
		return fmt.Errorf("Every %v is shorter than %v", s.Every, minEvery)
	case s.Count < 0:
		return fmt.Errorf("Count %d is negative", s.Count)
	case !s.From.IsZero() && !s.Until.IsZero() && !s.From.Before(s.Until):
		return fmt.Errorf("it ends (%s) before it begins (%s)", stamp(s.Until), stamp(s.From))
	case !slices.Contains([]MisfirePolicy{"", MisfireOnce, MisfireAll, MisfireSkip}, s.Misfire):
		return fmt.Errorf("Misfire %q: want once, all or skip", s.Misfire)
	case !slices.Contains([]OverlapPolicy{"", OverlapAllow, OverlapSkip, OverlapQueue, OverlapCancelOld}, s.Overlap):
		return fmt.Errorf("Overlap %q: want allow, skip, queue or cancel-old", s.Overlap)
	}
	return nil
}

// minEvery is the shortest interval of a schedule or loop.
const minEvery = 100 * time.Millisecond

// specText is a ScheduleSpec as it is stored: durations as text, instants in UTC, what is not set left out.
type specText struct {
	Cron      string        `json:"cron,omitempty"`
	Every     span          `json:"every,omitempty"`
	Zone      string        `json:"tz,omitempty"`
	From      time.Time     `json:"from,omitzero"`
	Until     time.Time     `json:"until,omitzero"`
	Count     int           `json:"count,omitempty"`
	Misfire   MisfirePolicy `json:"misfire,omitempty"`
	Grace     span          `json:"grace"`
	Overlap   OverlapPolicy `json:"overlap,omitempty"`
	Jitter    span          `json:"jitter,omitempty"`
	Calendars []string      `json:"calendars,omitempty"`
	RunOptions
	Timeout span `json:"timeout,omitempty"`
	Expires span `json:"expires,omitempty"`
}

// MarshalJSON implements json.Marshaler: equal specs give equal bytes.
func (s ScheduleSpec) MarshalJSON() ([]byte, error) {
	return json.Marshal(specText{
		Cron: s.Cron, Every: span(s.Every), Zone: s.Zone, From: s.From.UTC(), Until: s.Until.UTC(), Count: s.Count,
		Misfire: s.Misfire, Grace: span(s.Grace), Overlap: s.Overlap, Jitter: span(s.Jitter), Calendars: s.Calendars,
		RunOptions: s.Options, Timeout: span(s.Options.Timeout), Expires: span(s.Options.Expires),
	})
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *ScheduleSpec) UnmarshalJSON(data []byte) error {
	var t specText
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	t.RunOptions.Timeout, t.RunOptions.Expires = time.Duration(t.Timeout), time.Duration(t.Expires)
	*s = ScheduleSpec{
		Cron: t.Cron, Every: time.Duration(t.Every), Zone: t.Zone, From: t.From, Until: t.Until, Count: t.Count,
		Misfire: t.Misfire, Grace: time.Duration(t.Grace), Overlap: t.Overlap, Jitter: time.Duration(t.Jitter),
		Calendars: t.Calendars, Options: t.RunOptions,
	}
	return nil
}

// editText is a ScheduleEdit as it is stored.
type editText struct {
	Cron    string          `json:"cron,omitempty"`
	Zone    string          `json:"tz,omitempty"`
	Every   span            `json:"every,omitempty"`
	Misfire MisfirePolicy   `json:"misfire,omitempty"`
	Grace   *span           `json:"grace,omitempty"`
	Overlap OverlapPolicy   `json:"overlap,omitempty"`
	Jitter  *span           `json:"jitter,omitempty"`
	Count   *int            `json:"count,omitempty"`
	Args    json.RawMessage `json:"args,omitempty"`
	By      string          `json:"by,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	At      time.Time       `json:"at,omitzero"`
}

// text returns the edit in its stored form, with its arguments or without.
func (e *ScheduleEdit) text(args bool) editText {
	t := editText{
		Cron: e.Cron, Zone: e.Zone, Every: span(e.Every), Misfire: e.Misfire, Grace: (*span)(e.Grace), Overlap: e.Overlap,
		Jitter: (*span)(e.Jitter), Count: e.Count, By: e.By, Reason: e.Reason, At: e.At,
	}
	if args {
		t.Args = e.Args
	}
	return t
}

// Encode writes an edit as stores keep it: with the arguments, which may hold secrets.
func (e *ScheduleEdit) Encode() ([]byte, error) { return json.Marshal(e.text(true)) }

// MarshalJSON implements json.Marshaler. It leaves the arguments out, which may hold secrets.
func (e ScheduleEdit) MarshalJSON() ([]byte, error) { return json.Marshal(e.text(false)) }

// UnmarshalJSON implements json.Unmarshaler, for what Encode and MarshalJSON have written.
func (e *ScheduleEdit) UnmarshalJSON(data []byte) error {
	var t editText
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	*e = ScheduleEdit{
		Cron: t.Cron, Zone: t.Zone, Every: time.Duration(t.Every), Misfire: t.Misfire, Grace: (*time.Duration)(t.Grace),
		Overlap: t.Overlap, Jitter: (*time.Duration)(t.Jitter), Count: t.Count, Args: t.Args, By: t.By, Reason: t.Reason,
		At: t.At,
	}
	return nil
}

// span is a duration that is stored as text, "1m30s".
type span time.Duration

// MarshalText implements encoding.TextMarshaler.
func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*s = span(d)
	return err
}
