package billing

import "context"

// Sweep is started by several schedules.
//
//job:queue=reports cron="*/15 * * * *" misfire=skip grace=0s
//job:schedule name=night cron="30 2 * * *" tz=Europe/Berlin misfire=all grace=5m overlap=skip jitter=30s
//job:schedule name=year every=90m tz=Asia/Tokyo overlap=queue from=2027-01-01 until=2027-12-31T08:00 count=12 calendar=weekends,holidays
func (s *Service) Sweep(context.Context) error {
	s.Swept++
	return nil
}

// Poll is a loop without dependencies.
//
//job:every=10s singleton timeout=5s
func Poll(context.Context) error { return nil }

// Watch is a loop with them.
//
//job:every=1m singleton name=billing.Watch owner=billing-team
func (s *Service) Watch(context.Context) error {
	s.Watched++
	return nil
}

// Wind is a loop of a value method.
//
//job:every=1h singleton
func (c Clock) Wind(context.Context) error { return nil }
