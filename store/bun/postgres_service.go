package bunstore

import (
	"context"

	jobrt "github.com/jobgen/jobgen/runtime"
)

// syncServiceSQL records a service, and changes no row when another module has it. The row is locked in any case: of two
// modules that start at once, the second sees what the first has written.
const syncServiceSQL = `
INSERT INTO {services} AS t (name, module, former, build, created_at, updated_at)
VALUES ($1::text, $2::text, $3::text, $4::text, statement_timestamp(), statement_timestamp())
ON CONFLICT (name) DO UPDATE SET module = excluded.module, former = excluded.former, build = excluded.build,
	updated_at = excluded.updated_at
WHERE t.module IN (excluded.module, excluded.former)`

// syncService records which module has the service; an OwnedError when it is another than the catalogue's.
func (p *postgres) syncService(ctx context.Context, q querier, c jobrt.Catalog) error {
	if c.Module == "" {
		return nil
	}
	n, err := q.exec(ctx, p.n.sql(syncServiceSQL), c.Service, c.Module, c.FormerModule, c.Build)
	if err != nil || n > 0 {
		return err
	}
	return mayShare(ctx, q, c, p.n.sql(`SELECT module, former FROM {services} WHERE name = $1::text`))
}
