package bunstore

import (
	"context"
	"encoding/json"
	"errors"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// kindsQuery reads the catalogue; both databases understand it.
const kindsQuery = `
	SELECT name, service, build, queue, args_schema, coalesce(CAST(secrets AS text), '[]'), coalesce(CAST(settings AS text), '[]')
	FROM {kinds} ORDER BY name`

// Kinds implements [jobrt.Store].
func (s *Store) Kinds(ctx context.Context) ([]jobrt.KindInfo, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var kinds []jobrt.KindInfo
	err := collect(ctx, s.d.own(), func(r rows) error {
		var k jobrt.KindInfo
		var secrets, settings string
		if err := r.Scan(&k.Kind, &k.Service, &k.Build, &k.Queue, &k.ArgsSchema, &secrets, &settings); err != nil {
			return err
		}
		kinds = append(kinds, k)
		last := &kinds[len(kinds)-1]
		return errors.Join(json.Unmarshal([]byte(secrets), &last.Secrets), json.Unmarshal([]byte(settings), &last.Settings))
	}, s.names.sql(kindsQuery))
	return kinds, s.failed("kinds", err)
}

// queuesQuery reads the declared queues; both databases understand it.
const queuesQuery = `
	SELECT name, service, build, workers, coalesce(CAST(settings AS text), '[]') FROM {queues} ORDER BY name`

// Queues implements [jobrt.ControlStore].
func (s *Store) Queues(ctx context.Context) ([]jobrt.QueueInfo, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var queues []jobrt.QueueInfo
	err := collect(ctx, s.d.own(), func(r rows) error {
		var q jobrt.QueueInfo
		var settings string
		if err := r.Scan(&q.Name, &q.Service, &q.Build, &q.Workers, &settings); err != nil {
			return err
		}
		err := json.Unmarshal([]byte(settings), &q.Settings)
		queues = append(queues, q)
		return err
	}, s.names.sql(queuesQuery))
	return queues, s.failed("queues", err)
}
