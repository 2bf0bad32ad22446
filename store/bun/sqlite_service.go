package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// sqliteSyncService records a service, and changes no row when another module has it.
//
//	?1 service   ?2 module   ?3 former module   ?4 build   ?5 now
const sqliteSyncService = `
	INSERT INTO {services} AS t (name, module, former, build, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
	ON CONFLICT (name) DO UPDATE SET module = excluded.module, former = excluded.former, build = excluded.build,
		updated_at = excluded.updated_at
	WHERE t.module IN (excluded.module, excluded.former)`

// syncService records which module has the service; an OwnedError when it is another than the catalogue's.
func (d *sqliteDialect) syncService(ctx context.Context, q querier, now int64, c jobrt.Catalog) error {
	if c.Module == "" {
		return nil
	}
	n, err := q.exec(ctx, d.names.sql(sqliteSyncService), c.Service, c.Module, c.FormerModule, c.Build, now)
	if err != nil || n > 0 {
		return err
	}
	return mayShare(ctx, q, c, d.names.sql(`SELECT module, former FROM {services} WHERE name = ?1`))
}
