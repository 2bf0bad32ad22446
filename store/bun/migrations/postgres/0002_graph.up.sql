-- Jobs that wait for others, batches, and the ledger of effects. New columns have defaults, so no table is rewritten.
ALTER TABLE {jobs}
	ADD COLUMN delay_us bigint NOT NULL DEFAULT 0,      -- of a waiting job: due so long after its conditions hold
	ADD COLUMN batch_id uuid,
	ADD COLUMN followed boolean NOT NULL DEFAULT false, -- others wait, or have waited, for it
	ADD COLUMN inputs boolean NOT NULL DEFAULT false,   -- the handler takes outcomes of parents
	DROP CONSTRAINT {index:jobs}_state_check,
	ADD CONSTRAINT {index:jobs}_state_check CHECK (state IN ('waiting', 'scheduled', 'ready', 'running'));
CREATE INDEX {index:jobs}_waiting ON {jobs} (queue, kind, run_at) WHERE state = 'waiting';
CREATE INDEX {index:jobs}_batch ON {jobs} (batch_id) WHERE batch_id IS NOT NULL;

ALTER TABLE {history} ADD COLUMN batch_id uuid;

ALTER TABLE {dead}
	ADD COLUMN batch_id uuid,
	ADD COLUMN followed boolean NOT NULL DEFAULT false,
	ADD COLUMN inputs boolean NOT NULL DEFAULT false;
CREATE INDEX {index:dead}_batch ON {dead} (batch_id) WHERE batch_id IS NOT NULL;

-- What a job waits or has waited for. parent is a job or a batch. A row changes only under a lock on the child's row.
CREATE TABLE {edges} (
	child uuid NOT NULL,
	parent uuid NOT NULL,
	pos integer NOT NULL,
	slot integer NOT NULL,
	open boolean NOT NULL,                   -- not decided yet
	held boolean NOT NULL DEFAULT false,     -- the condition has held
	condition text NOT NULL,
	PRIMARY KEY (child, pos)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX {index:edges}_parent ON {edges} (parent, open, condition);
CREATE INDEX {index:edges}_open ON {edges} (child) WHERE open;

-- How jobs and batches ended that others wait for: a copy that outlives history, and what Release has to tell.
CREATE TABLE {outcomes} (
	id uuid PRIMARY KEY,
	ended_at timestamptz NOT NULL,
	attempt integer NOT NULL DEFAULT 0,
	released boolean NOT NULL,               -- Release has told all who wait
	kind text,                               -- NULL for a batch
	state text NOT NULL,
	reason text,
	error text,
	result json
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX {index:outcomes}_due ON {outcomes} (id) WHERE NOT released;

-- Batches, with counts as far as they have been folded. A batch within another is one member of it.
CREATE TABLE {batches} (
	id uuid PRIMARY KEY,
	within uuid,
	created_at timestamptz NOT NULL,
	finished_at timestamptz,
	total bigint NOT NULL DEFAULT 0,
	succeeded bigint NOT NULL DEFAULT 0,
	cancelled bigint NOT NULL DEFAULT 0,
	skipped bigint NOT NULL DEFAULT 0,
	dead bigint NOT NULL DEFAULT 0,          -- undecodable ones excepted
	sweep boolean NOT NULL DEFAULT false,    -- members are to be cancelled
	state text NOT NULL CHECK (state IN ('open', 'succeeded', 'failed', 'cancelled')),
	service text NOT NULL,
	name text NOT NULL,
	cancelling text,                         -- the reason, once it was cancelled
	origin json
) WITH (fillfactor = 70);
CREATE INDEX {index:batches}_within ON {batches} (within) WHERE within IS NOT NULL;
CREATE INDEX {index:batches}_sweep ON {batches} (id) WHERE sweep;
CREATE INDEX {index:batches}_due ON {batches} (id) WHERE state = 'open' AND total <= succeeded + cancelled + skipped + dead;

-- Changes of the counts: appended, so that ends of members never meet in one row, and folded by Release.
CREATE TABLE {batch_deltas} (
	batch_id uuid NOT NULL,
	total integer NOT NULL DEFAULT 0,
	succeeded integer NOT NULL DEFAULT 0,
	cancelled integer NOT NULL DEFAULT 0,
	skipped integer NOT NULL DEFAULT 0,
	dead integer NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX {index:batch_deltas}_batch ON {batch_deltas} (batch_id);

-- The ledger of effects that happen once. It is kept for good: a key that was forgotten would be had again. A migration
-- down leaves it, too, for the next one up.
CREATE TABLE IF NOT EXISTS {effects} (
	key bytea PRIMARY KEY,
	job_id uuid NOT NULL,
	lease_seq bigint NOT NULL,               -- of the claim whose the intent is
	announced_by uuid NOT NULL,              -- the job that wrote it first; job_id differs when another took it over
	at timestamptz NOT NULL,                 -- when the intent was written, or the effect was done
	done boolean NOT NULL,
	kind text NOT NULL,
	label text NOT NULL,
	result json
);
CREATE INDEX IF NOT EXISTS {index:effects}_open ON {effects} (job_id) WHERE NOT done;
CREATE INDEX IF NOT EXISTS {index:effects}_announced ON {effects} (announced_by) WHERE NOT done;
