-- Limits: one row for each that is in use. A claim under a limit locks its row.
CREATE TABLE {limits} (
	name text PRIMARY KEY,                   -- 'kind:NAME' or 'queue:NAME'
	marked_at timestamptz NOT NULL,          -- when running jobs that were claimed without limits were last looked for
	cursor text NOT NULL DEFAULT ''          -- the key that had the last turn
) WITH (fillfactor = 50);

-- Starts that a rate counts, in slices of its stretch. at is when the slice ends.
CREATE TABLE {limit_starts} (
	counter text NOT NULL,
	key text NOT NULL,                       -- '' for all keys together
	at timestamptz NOT NULL,
	n integer NOT NULL,
	PRIMARY KEY (counter, key, at)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- Ready jobs by key; what runs under a limit; and keyed jobs that have begun, which hold a serial key. Jobs without
-- limits are in none of them.
CREATE INDEX {index:jobs}_keys ON {jobs} (queue, kind, limit_key COLLATE "C", priority, run_at, id)
	WHERE state = 'ready' AND limit_key IS NOT NULL;
CREATE INDEX {index:jobs}_limited_kind ON {jobs} (kind, limit_key) WHERE limited;
CREATE INDEX {index:jobs}_limited_queue ON {jobs} (queue) WHERE limited;
CREATE INDEX {index:jobs}_begun ON {jobs} (kind, limit_key) WHERE limit_key IS NOT NULL AND lease_seq > 0;
