-- Expiry, cancels of running jobs, trace contexts, keys of limits, and the audit.
ALTER TABLE {jobs} ADD COLUMN expires_us integer NOT NULL DEFAULT 0; -- may start so long after run_at; 0: always
ALTER TABLE {jobs} ADD COLUMN limited integer NOT NULL DEFAULT 0;    -- while running: was claimed under a limit
ALTER TABLE {jobs} ADD COLUMN cancel text;                           -- why a running job is to be cancelled
ALTER TABLE {jobs} ADD COLUMN trace text;
ALTER TABLE {jobs} ADD COLUMN limit_key text;                        -- by which the limits of its kind tell jobs apart
CREATE INDEX {index:jobs}_expires ON {jobs} (run_at + expires_us) WHERE expires_us > 0 AND state = 'ready';
CREATE INDEX {index:jobs}_cancel ON {jobs} (lease_owner) WHERE cancel IS NOT NULL;
-- Running jobs of which a Finish has to know more than that they run.
DROP INDEX {index:jobs}_linked;
CREATE INDEX {index:jobs}_linked ON {jobs} (id)
	WHERE state = 'running' AND (followed <> 0 OR batch_id IS NOT NULL OR cancel IS NOT NULL);

ALTER TABLE {history} ADD COLUMN trace text;

ALTER TABLE {dead} ADD COLUMN expires_us integer NOT NULL DEFAULT 0;
ALTER TABLE {dead} ADD COLUMN trace text;
ALTER TABLE {dead} ADD COLUMN limit_key text;

-- What was changed by hand, and by whom. A migration down leaves it for the next one up.
CREATE TABLE IF NOT EXISTS {audit} (
	id text PRIMARY KEY NOT NULL,
	at integer NOT NULL,
	actor text NOT NULL,
	action text NOT NULL,
	target text NOT NULL,                    -- 'job:ID', 'queue:NAME', 'kind:NAME', 'worker:ID' or '*'
	reason text NOT NULL,
	detail text CHECK (detail IS NULL OR json_valid(detail))
) STRICT;
CREATE INDEX IF NOT EXISTS {index:audit}_target ON {audit} (target, id);
