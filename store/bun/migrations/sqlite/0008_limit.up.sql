-- Limits: one row for each that is in use.
CREATE TABLE {limits} (
	name text PRIMARY KEY NOT NULL,          -- 'kind:NAME' or 'queue:NAME'
	marked_at integer NOT NULL,              -- when running jobs that were claimed without limits were last looked for
	cursor text NOT NULL DEFAULT ''          -- the key that had the last turn
) STRICT;

-- Starts that a rate counts, in slices of its stretch. at is when the slice ends.
CREATE TABLE {limit_starts} (
	counter text NOT NULL,
	key text NOT NULL,                       -- '' for all keys together
	at integer NOT NULL,
	n integer NOT NULL,
	PRIMARY KEY (counter, key, at)
) STRICT, WITHOUT ROWID;

-- Ready jobs by key; what runs under a limit; and keyed jobs that have begun, which hold a serial key. Jobs without
-- limits are in none of them.
CREATE INDEX {index:jobs}_keys ON {jobs} (queue, kind, limit_key, priority, run_at, id)
	WHERE state = 'ready' AND limit_key IS NOT NULL;
CREATE INDEX {index:jobs}_limited_kind ON {jobs} (kind, limit_key) WHERE limited <> 0;
CREATE INDEX {index:jobs}_limited_queue ON {jobs} (queue) WHERE limited <> 0;
CREATE INDEX {index:jobs}_begun ON {jobs} (kind, limit_key) WHERE limit_key IS NOT NULL AND lease_seq > 0;
