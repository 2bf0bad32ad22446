-- Version 1 cannot keep what waits. Rather than lose it, this fails, with the name of the constraint as its message.
CREATE TABLE {index:jobs}_refuse (
	n integer CONSTRAINT "jobs wait, take outcomes of others, or are in open batches: let them end first" CHECK (n = 0)
);
INSERT INTO {index:jobs}_refuse
SELECT EXISTS (SELECT 1 FROM {jobs} WHERE state = 'waiting' OR inputs <> 0)
	OR EXISTS (SELECT 1 FROM {dead} WHERE inputs <> 0)
	OR EXISTS (SELECT 1 FROM {batches} WHERE state = 'open');
DROP TABLE {index:jobs}_refuse;

DROP TABLE {batches};
DROP TABLE {outcomes};
DROP TABLE {edges};

DROP INDEX {index:dead}_batch;
ALTER TABLE {dead} DROP COLUMN batch_id;
ALTER TABLE {dead} DROP COLUMN inputs;
ALTER TABLE {dead} DROP COLUMN followed;
ALTER TABLE {history} DROP COLUMN batch_id;

CREATE TABLE {index:jobs}_anew (
	seq integer PRIMARY KEY,
	id text NOT NULL UNIQUE,
	service text NOT NULL,
	kind text NOT NULL,
	queue text NOT NULL,
	state text NOT NULL CHECK (state IN ('scheduled', 'ready', 'running')),
	priority integer NOT NULL,
	run_at integer NOT NULL,
	created_at integer NOT NULL,
	attempt integer NOT NULL DEFAULT 0,
	max_retries integer NOT NULL,
	crashes integer NOT NULL DEFAULT 0,
	suspect integer NOT NULL DEFAULT 0,
	lease_seq integer NOT NULL DEFAULT 0,
	settled_seq integer,
	lease_owner text,
	started_at integer,
	timeout_us integer NOT NULL DEFAULT 0,
	keep_result integer NOT NULL DEFAULT 0,
	args_schema text NOT NULL,
	unique_key text,
	args text NOT NULL,
	tags text,
	origin text
) STRICT;
INSERT INTO {index:jobs}_anew (seq, id, service, kind, queue, state, priority, run_at, created_at, attempt, max_retries,
	crashes, suspect, lease_seq, settled_seq, lease_owner, started_at, timeout_us, keep_result, args_schema, unique_key,
	args, tags, origin)
SELECT seq, id, service, kind, queue, state, priority, run_at, created_at, attempt, max_retries,
	crashes, suspect, lease_seq, settled_seq, lease_owner, started_at, timeout_us, keep_result, args_schema, unique_key,
	args, tags, origin
FROM {jobs} ORDER BY seq;
DROP TABLE {jobs};
PRAGMA legacy_alter_table = on;
ALTER TABLE {index:jobs}_anew RENAME TO {jobs};
PRAGMA legacy_alter_table = off;
CREATE INDEX {index:jobs}_claim ON {jobs} (queue, kind, priority, run_at, id) WHERE state = 'ready';
CREATE INDEX {index:jobs}_due ON {jobs} (run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_scheduled ON {jobs} (queue, kind, run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_running ON {jobs} (seq) WHERE state = 'running';
