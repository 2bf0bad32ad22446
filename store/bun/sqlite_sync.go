package bunstore

import (
	"context"
	"encoding/json"
	"errors"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteOwners finds names that belong to another service.
//
//	?1 service   ?2 [kind, …]   ?3 [queue, …]
const sqliteOwners = `
	SELECT 'kind', name, service FROM {kinds} WHERE service <> ?1 AND name IN (SELECT value FROM json_each(?2))
	UNION ALL
	SELECT 'queue', name, service FROM {queues} WHERE service <> ?1 AND name IN (SELECT value FROM json_each(?3))
	ORDER BY 1, 2`

// sqliteSyncKinds records kinds of a service.
//
//	?1 service   ?2 build   ?3 now   ?4 [[name, queue, args_schema, secrets, settings], …]   ?5 builds to leave alone
const sqliteSyncKinds = `
	INSERT INTO {kinds} (name, service, build, queue, args_schema, secrets, settings, created_at, updated_at)
	SELECT value ->> 0, ?1, ?2, value ->> 1, value ->> 2, value ->> 3, value ->> 4, ?3, ?3 FROM json_each(?4) WHERE true
	ON CONFLICT (name) DO UPDATE SET build = excluded.build, queue = excluded.queue, args_schema = excluded.args_schema,
		secrets = excluded.secrets, settings = excluded.settings, updated_at = excluded.updated_at
	WHERE build NOT IN (SELECT value FROM json_each(?5)) AND (
		(build, queue, args_schema) <> (excluded.build, excluded.queue, excluded.args_schema)
		OR secrets IS NOT excluded.secrets OR settings IS NOT excluded.settings)`

// sqliteSyncQueues records queues of a service.
//
//	?1 service   ?2 build   ?3 now   ?4 [[name, workers, settings], …]   ?5 builds to leave alone
const sqliteSyncQueues = `
	INSERT INTO {queues} (name, service, build, workers, settings, created_at, updated_at)
	SELECT value ->> 0, ?1, ?2, value ->> 1, value ->> 2, ?3, ?3 FROM json_each(?4) WHERE true
	ON CONFLICT (name) DO UPDATE SET build = excluded.build, workers = excluded.workers, settings = excluded.settings,
		updated_at = excluded.updated_at
	WHERE build NOT IN (SELECT value FROM json_each(?5)) AND (
		(build, workers) <> (excluded.build, excluded.workers) OR settings IS NOT excluded.settings)`

func (d *sqliteDialect) sync(ctx context.Context, c jobrt.Catalog) error {
	kindNames, queueNames := make([]string, len(c.Kinds)), make([]string, len(c.Queues))
	kindRows, queueRows := make([][]any, len(c.Kinds)), make([][]any, len(c.Queues))
	var errs []error
	column := func(v any, err error) any {
		errs = append(errs, err)
		return v
	}
	for i, k := range c.Kinds {
		kindNames[i] = k.Kind
		kindRows[i] = []any{k.Kind, k.Queue, k.ArgsSchema, column(encoded(k.Secrets)), column(encoded(k.Settings))}
	}
	for i, q := range c.Queues {
		queueNames[i] = q.Name
		queueRows[i] = []any{q.Name, q.Workers, column(encoded(q.Settings))}
	}
	kinds, err := json.Marshal(kindRows)
	errs = append(errs, err)
	queues, err := json.Marshal(queueRows)
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	return d.write(ctx, nil, func(q querier, now int64) error {
		newer, err := d.beginSync(ctx, q, now, c.Service, c.Build)
		if err != nil {
			return err
		}
		if err := d.syncService(ctx, q, now, c); err != nil {
			return err
		}
		var owned []error
		err = collect(ctx, q, func(r rows) error {
			var e jobrt.OwnedError
			err := r.Scan(&e.What, &e.Name, &e.Owner)
			owned = append(owned, &e)
			return err
		}, d.names.sql(sqliteOwners), c.Service, listText(kindNames), listText(queueNames))
		if err := errors.Join(append(owned, err)...); err != nil {
			return err
		}
		if _, err := q.exec(ctx, d.names.sql(sqliteSyncKinds), c.Service, c.Build, now, string(kinds), listText(newer)); err != nil {
			return err
		}
		_, err = q.exec(ctx, d.names.sql(sqliteSyncQueues), c.Service, c.Build, now, string(queues), listText(newer))
		return err
	})
}
