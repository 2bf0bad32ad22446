// Package timetable computes when a schedule is due: from a cron expression or
// an interval, in a time zone, between two moments, without the days that
// calendars exclude.
//
// A Table is a pure function of its Spec, the zone database and the calendars:
// all processes compute the same instants, whenever they were started. It knows
// no clock.
//
// # Cron
//
// Five fields (minute, hour, day of month, month, day of week) or six with
// seconds first; lists, ranges, also reversed ones such as 22-2, steps, names of
// months and days; L, L-3, LW and 15W in the day of month, FRI#3 and FRI#L in
// the day of week; @yearly, @annually, @monthly, @weekly, @daily, @midnight and
// @hourly. When both the day of month and the day of week are given, either of
// them is enough, as in crontab; * and ? mean that a field is not given. The
// expression is read by github.com/netresearch/go-cron, which also finds the
// wall-clock times that match. Which instants those are is decided here.
//
// # Changes of the clock
//
// Times of day are wall-clock times of the zone, and twice a year some of these
// don't exist and some exist twice. What then happens depends on the hour field
// alone:
//
//   - It names hours: each wall-clock time that matches is one tick. One that
//     doesn't exist is due at the first instant after the gap, once for all that
//     fall into the gap. One that exists twice is due the first time.
//   - It is *, or names every hour: the table ticks at each instant at which the
//     clock shows a matching time. It so ticks evenly in real time: in both of
//     two equal hours, and not for an hour that isn't there. Only where a clock
//     is moved by less than an hour, as on Lord Howe Island, an hourly tick can't
//     be even.
//
// An interval is a duration and knows no clock changes: every=24h moves by an
// hour on the local clock, twice a year. Its ticks are multiples of the interval
// from Spec.From or, without it, from the start of the year 1970 in UTC, so that
// processes agree and restarts shift nothing.
//
// Leap seconds don't exist, as in package time.
//
// # Limits
//
// A table looks 50 years ahead. What has no tick for so long never fires: Parse
// refuses it, and Next reports false. No instant lies beyond the year 9999.
package timetable
