package model

import "time"

// DefaultSchedule is the name of a schedule that has no other.
const DefaultSchedule = "default"

// Schedule says when the clock starts a job: cron= or every= of its //job:
// line, or a //job:schedule line.
type Schedule struct {
	Name        string // unique within the job
	Cron        string // "" with Every
	Every       time.Duration
	Zone        string         // IANA name; "" when no annotation sets it: UTC
	From, Until string         // as written; "" for none
	Misfire     string         // "" when no annotation sets it: the runtime's default, like the next two
	Grace       *time.Duration // nil, too
	Overlap     string
	Jitter      time.Duration
	Count       int // 0: no limit
	Calendars   []string
}

// When says when the schedule is due, in one line.
func (s *Schedule) When() string {
	if s.Cron == "" {
		return "every " + short(s.Every)
	}
	return s.Cron
}

// short prints a duration without units that are zero: 15m, not 15m0s.
func short(d time.Duration) string {
	text := d.String()
	if d >= time.Minute && d%time.Minute == 0 {
		text = text[:len(text)-len("0s")]
	}
	if d >= time.Hour && d%time.Hour == 0 {
		text = text[:len(text)-len("0m")]
	}
	return text
}

// Loop is an annotated function that is no job: singleton.
type Loop struct {
	Name     string // "service/billing.Service.Poll"
	Func     Name
	Receiver *Receiver // nil for a function
	Every    time.Duration
	Timeout  time.Duration // of one run; 0: none
	Declared []Setting     // every key as annotations set it, by Key
	Pos      Pos           // the function's name
}

// GoName returns the function as a Go reader would call it.
func (l *Loop) GoName() string { return (&Job{Func: l.Func, Receiver: l.Receiver}).GoName() }
