-- Jobs that wait for others, batches, and the ledger of effects. SQLite cannot change the CHECK of a column, so that the
-- table of live jobs is made anew and takes the name and the row numbers of the old one. (Without legacy_alter_table the
-- renaming would look at the application's views, one of which may name the table.)
CREATE TABLE {index:jobs}_anew (
	seq integer PRIMARY KEY,
	id text NOT NULL UNIQUE,
	service text NOT NULL,
	kind text NOT NULL,
	queue text NOT NULL,
	state text NOT NULL CHECK (state IN ('waiting', 'scheduled', 'ready', 'running')),
	priority integer NOT NULL,
	run_at integer NOT NULL,                 -- of a waiting job: not before this
	created_at integer NOT NULL,
	attempt integer NOT NULL DEFAULT 0,      -- failures so far
	max_retries integer NOT NULL,
	crashes integer NOT NULL DEFAULT 0,
	suspect integer NOT NULL DEFAULT 0,      -- a worker vanished while it held the job
	lease_seq integer NOT NULL DEFAULT 0,    -- grows on every entry to and exit from running; never reset
	settled_seq integer,                     -- lease_seq of the claim that the last Finish has settled
	lease_owner text,                        -- worker, while running
	started_at integer,                      -- while running: since when a handler may have seen it
	timeout_us integer NOT NULL DEFAULT 0,   -- 0: the kind's
	keep_result integer NOT NULL DEFAULT 0,
	args_schema text NOT NULL,
	unique_key text,                         -- hexadecimal digits
	followed integer NOT NULL DEFAULT 0,     -- others wait, or have waited, for it
	inputs integer NOT NULL DEFAULT 0,       -- the handler takes outcomes of parents
	delay_us integer NOT NULL DEFAULT 0,     -- of a waiting job: due so long after its conditions hold
	batch_id text,
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
CREATE INDEX {index:jobs}_waiting ON {jobs} (queue, kind, run_at) WHERE state = 'waiting';
-- Running jobs whose end concerns others: empty where nobody uses graphs, which one look tells.
CREATE INDEX {index:jobs}_linked ON {jobs} (id) WHERE state = 'running' AND (followed <> 0 OR batch_id IS NOT NULL);
CREATE INDEX {index:jobs}_batch ON {jobs} (batch_id) WHERE batch_id IS NOT NULL;

ALTER TABLE {history} ADD COLUMN batch_id text;
ALTER TABLE {dead} ADD COLUMN followed integer NOT NULL DEFAULT 0;
ALTER TABLE {dead} ADD COLUMN inputs integer NOT NULL DEFAULT 0;
ALTER TABLE {dead} ADD COLUMN batch_id text;
CREATE INDEX {index:dead}_batch ON {dead} (batch_id) WHERE batch_id IS NOT NULL;

-- What a job waits or has waited for. parent is a job or a batch.
CREATE TABLE {edges} (
	seq integer PRIMARY KEY,
	child text NOT NULL,
	pos integer NOT NULL,
	parent text NOT NULL,
	slot integer NOT NULL,
	condition text NOT NULL,
	held integer NOT NULL DEFAULT 0,         -- 1: the condition has held; 2: the child has ended without it
	UNIQUE (child, pos)
) STRICT;
CREATE INDEX {index:edges}_parent ON {edges} (parent, held, condition);
CREATE INDEX {index:edges}_unheld ON {edges} (child) WHERE held = 0;

-- How jobs and batches ended that others wait for: a copy that outlives history, and what Release has to tell.
CREATE TABLE {outcomes} (
	id text PRIMARY KEY NOT NULL,
	kind text NOT NULL,                      -- empty for a batch
	state text NOT NULL,                     -- 'succeeded', 'cancelled', 'skipped' or 'dead'
	reason text,
	error text,
	attempt integer NOT NULL,
	result text CHECK (result IS NULL OR json_valid(result)),
	ended_at integer NOT NULL,
	released integer NOT NULL                -- 0: Release is due; 1: it is done; 2: the parent lives again
) STRICT;
CREATE INDEX {index:outcomes}_due ON {outcomes} (ended_at) WHERE released = 0;
CREATE INDEX {index:outcomes}_ended ON {outcomes} (ended_at, id);

-- Batches with the counts of their members. A batch within it is one member.
CREATE TABLE {batches} (
	id text PRIMARY KEY NOT NULL,
	service text NOT NULL,
	name text NOT NULL,
	within text,
	state text NOT NULL,
	cancelling text,                         -- the reason, once it is cancelled
	sweep integer NOT NULL DEFAULT 0,        -- 1: members are to be cancelled
	followed integer NOT NULL DEFAULT 0,     -- jobs wait, or have waited, for it
	total integer NOT NULL DEFAULT 0,
	succeeded integer NOT NULL DEFAULT 0,
	cancelled integer NOT NULL DEFAULT 0,
	skipped integer NOT NULL DEFAULT 0,
	dead integer NOT NULL DEFAULT 0,
	created_at integer NOT NULL,
	finished_at integer,
	origin text
) STRICT;
CREATE INDEX {index:batches}_within ON {batches} (within) WHERE within IS NOT NULL;
CREATE INDEX {index:batches}_sweep ON {batches} (id) WHERE sweep = 1;
CREATE INDEX {index:batches}_finished ON {batches} (finished_at, id) WHERE finished_at IS NOT NULL;

-- The ledger of effects that happen once. It is kept for good: a key that was forgotten would be had again. A migration
-- down leaves it, too, for the next one up.
CREATE TABLE IF NOT EXISTS {effects} (
	key text PRIMARY KEY NOT NULL,           -- hexadecimal digits
	kind text NOT NULL,
	label text NOT NULL,
	job_id text NOT NULL,
	lease_seq integer NOT NULL,              -- of the claim whose the intent is
	announced_by text NOT NULL,              -- the job that wrote it first; job_id differs when another took it over
	done integer NOT NULL,
	result text CHECK (result IS NULL OR json_valid(result)),
	at integer NOT NULL                      -- when the intent was written, or the effect was done
) STRICT;
CREATE INDEX IF NOT EXISTS {index:effects}_open ON {effects} (job_id) WHERE done = 0;
CREATE INDEX IF NOT EXISTS {index:effects}_announced ON {effects} (announced_by) WHERE done = 0;
