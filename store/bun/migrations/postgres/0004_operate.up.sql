-- Expiry, cancels of running jobs, trace contexts, keys of limits, and the audit.
ALTER TABLE {jobs}
	ADD COLUMN expires_us bigint NOT NULL DEFAULT 0,    -- may start so long after run_at; 0: always
	ADD COLUMN limited boolean NOT NULL DEFAULT false,  -- while running: was claimed under a limit
	ADD COLUMN cancel text,                             -- why a running job is to be cancelled
	ADD COLUMN trace text,
	ADD COLUMN limit_key text;                          -- by which the limits of its kind tell jobs apart
-- By when jobs expire that may be claimed. An interval, because what depends on the time zone cannot be indexed.
CREATE INDEX {index:jobs}_expires ON {jobs}
	((run_at - timestamptz '2000-01-01 00:00:00+00' + expires_us * interval '1 microsecond'))
	WHERE expires_us > 0 AND state = 'ready';

CREATE INDEX {index:jobs}_cancel ON {jobs} (lease_owner) WHERE cancel IS NOT NULL;

ALTER TABLE {history} ADD COLUMN trace text;

ALTER TABLE {dead}
	ADD COLUMN expires_us bigint NOT NULL DEFAULT 0,
	ADD COLUMN trace text,
	ADD COLUMN limit_key text;

-- What was changed by hand, and by whom. A migration down leaves it for the next one up.
CREATE TABLE IF NOT EXISTS {audit} (
	id uuid PRIMARY KEY,
	at timestamptz NOT NULL,
	actor text NOT NULL,
	action text NOT NULL,
	target text NOT NULL,                    -- 'job:ID', 'queue:NAME', 'kind:NAME', 'worker:ID' or '*'
	reason text NOT NULL,
	detail json
);
CREATE INDEX IF NOT EXISTS {index:audit}_target ON {audit} (target, id);
