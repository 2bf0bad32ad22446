package timetable

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	cron "github.com/netresearch/go-cron"
)

// A clock finds the readings that a cron expression matches. It sees days of 24
// hours without changes of the clock.
type clock interface {
	after(reading) (reading, bool)
	before(reading) (reading, bool)
	everyHour() bool // it doesn't restrict the hour
}

// expression is a clock for the library's idea of UTC, where its search has no
// clock changes to get wrong.
type expression struct{ spec *cron.SpecSchedule }

func (e expression) after(r reading) (reading, bool) {
	t := e.spec.Next(time.Unix(r, 0).UTC())
	return t.Unix(), !t.IsZero()
}

func (e expression) before(r reading) (reading, bool) {
	t := e.spec.Prev(time.Unix(r, 0).UTC())
	return t.Unix(), !t.IsZero()
}

func (e expression) everyHour() bool {
	const hours = 1<<24 - 1
	return e.spec.Hour&hours == hours
}

// parser has either day field suffice when both are given, as crontab does.
var parser = cron.MustNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow |
	cron.Descriptor | cron.DowOrDom | cron.Extended).WithMaxSearchYears(horizonYears)

// CheckCron returns what is wrong with a cron expression, without naming it. One
// that never fires is wrong, too.
func CheckCron(expr string) error {
	_, err := Parse(Spec{Cron: expr})
	if err != nil && expr != "" {
		return errors.Unwrap(err)
	}
	return err
}

func parseCron(expr string) (clock, error) {
	if err := checkItems(expr); err != nil {
		return nil, err
	}
	s, err := parser.Parse(expr)
	if err != nil {
		return nil, err
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, errors.New("not a time of day")
	}
	utc := *spec
	utc.Location = time.UTC
	return expression{&utc}, nil
}

var (
	item      = regexp.MustCompile(`^(?:[*?]|[0-9A-Za-z]+(?:-[0-9A-Za-z]+)?)(?:/[0-9]+)?$`)
	dayOfLast = regexp.MustCompile(`^(?i:L|L-[0-9]+|LW|[0-9]+W)$`)
	dayOfWeek = regexp.MustCompile(`^[0-9A-Za-z]+#(?:[1-5]|(?i:L))$`)
)

// checkItems refuses what the parser would take for something else than whoever
// wrote it: empty elements, "*-5" and steps within reversed ranges of days of
// the week, which it miscounts; and what belongs into other fields of a Spec.
func checkItems(expr string) error {
	switch {
	case strings.HasPrefix(expr, "TZ="), strings.HasPrefix(expr, "CRON_TZ="):
		return errors.New("name the time zone with tz=")
	case strings.HasPrefix(expr, "@every"):
		return errors.New("an interval is every=, not cron=")
	case strings.HasPrefix(expr, "@reboot"):
		return errors.New("@reboot is no time; enqueue the job when the program starts")
	case strings.HasPrefix(expr, "@"):
		return nil
	}
	fields := strings.Fields(expr)
	if n := len(fields); n != 5 && n != 6 {
		return fmt.Errorf("%d fields: want 5 (minute, hour, day of month, month, day of week) or 6 with seconds first", n)
	}
	for i, field := range fields {
		place := i + 6 - len(fields)
		for _, it := range strings.Split(field, ",") {
			switch {
			case item.MatchString(it):
				if place == 5 && strings.Contains(it, "-") && strings.Contains(it, "/") && !rising(it) {
					return fmt.Errorf("%q: a step needs a range that rises; name the days", it)
				}
			case place == 3 && dayOfLast.MatchString(it), place == 5 && dayOfWeek.MatchString(it):
			default:
				return fmt.Errorf("%q in field %d: want a number or name, a range, *, each with /step if wanted, or a list of these with commas between", it, i+1)
			}
		}
	}
	return nil
}

// rising reports whether a range of days of the week doesn't pass the week's
// end.
func rising(item string) bool {
	bounds, _, _ := strings.Cut(item, "/")
	from, to, _ := strings.Cut(bounds, "-")
	return weekday(from) <= weekday(to)
}

// weekday returns a day's number; for what isn't one, which the parser refuses,
// 0.
func weekday(day string) int {
	if i := strings.Index("sunmontuewedthufrisat", strings.ToLower(day)); len(day) == 3 && i%3 == 0 {
		return i / 3
	}
	if len(day) == 1 && day[0] >= '0' && day[0] <= '7' {
		return int(day[0] - '0')
	}
	return 0
}
