-- Live jobs. Rows are rewritten on each claim, so pages keep room for it.
CREATE TABLE {jobs} (
	id uuid PRIMARY KEY,
	run_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL,
	lease_seq bigint NOT NULL DEFAULT 0,     -- grows on every entry to and exit from running; never reset
	settled_seq bigint,                      -- lease_seq of the claim that the last Finish has settled
	timeout_us bigint NOT NULL DEFAULT 0,    -- 0: the kind's
	lease_owner uuid,                        -- worker, while running
	max_retries integer NOT NULL,
	attempt integer NOT NULL DEFAULT 0,      -- failures so far
	crashes integer NOT NULL DEFAULT 0,
	priority smallint NOT NULL,
	started boolean NOT NULL DEFAULT false,  -- while running: a handler may have seen it
	suspect boolean NOT NULL DEFAULT false,  -- a worker vanished while it held the job
	keep_result boolean NOT NULL DEFAULT false,
	state text NOT NULL CHECK (state IN ('scheduled', 'ready', 'running')),
	queue text NOT NULL,
	kind text NOT NULL,
	service text NOT NULL,
	args_schema text NOT NULL,
	unique_key bytea,
	args json NOT NULL,
	tags json,
	origin json
) WITH (
	fillfactor = 70,
	autovacuum_vacuum_scale_factor = 0.02,
	autovacuum_vacuum_threshold = 1000,
	autovacuum_vacuum_insert_scale_factor = 0.2,
	autovacuum_analyze_scale_factor = 0.05,
	autovacuum_vacuum_cost_delay = 1
);
CREATE INDEX {index:jobs}_claim ON {jobs} (queue, kind, priority, run_at, id) WHERE state = 'ready';
CREATE INDEX {index:jobs}_due ON {jobs} (run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_scheduled ON {jobs} (queue, kind, run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_running ON {jobs} (lease_owner) WHERE state = 'running';

-- Succeeded and cancelled jobs, by day of creation: ids are UUIDs of version 7, so their order is that of time.
CREATE TABLE {history} (
	id uuid PRIMARY KEY,
	run_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL,
	started_at timestamptz,
	lease_seq bigint NOT NULL,
	settled_seq bigint,
	ran_us bigint NOT NULL,
	worker uuid,
	max_retries integer NOT NULL,
	attempt integer NOT NULL,
	crashes integer NOT NULL,
	priority smallint NOT NULL,
	keep_result boolean NOT NULL,
	state text NOT NULL,
	queue text NOT NULL,
	kind text NOT NULL,
	service text NOT NULL,
	args_schema text NOT NULL,
	error text,
	args json NOT NULL,
	result json,
	tags json,
	origin json
) PARTITION BY RANGE (id);
CREATE TABLE {history}_default PARTITION OF {history} DEFAULT;

-- Dead jobs, kept until somebody decides.
CREATE TABLE {dead} (
	id uuid PRIMARY KEY,
	run_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL,
	finished_at timestamptz NOT NULL,
	started_at timestamptz,
	lease_seq bigint NOT NULL,
	settled_seq bigint,
	ran_us bigint NOT NULL,
	timeout_us bigint NOT NULL,
	worker uuid,
	max_retries integer NOT NULL,
	attempt integer NOT NULL,
	crashes integer NOT NULL,
	priority smallint NOT NULL,
	suspect boolean NOT NULL,
	keep_result boolean NOT NULL,
	reason text NOT NULL,
	queue text NOT NULL,
	kind text NOT NULL,
	service text NOT NULL,
	args_schema text NOT NULL,
	decode_schema text,                      -- the schema under which the arguments did not decode
	unique_key bytea,
	error text,
	fingerprint text,
	args json NOT NULL,
	tags json,
	origin json
);
CREATE INDEX {index:dead}_kind ON {dead} (queue, kind, run_at);

-- Failed and crashed attempts. lease_seq is that of the claim.
CREATE TABLE {attempts} (
	job_id uuid NOT NULL,
	lease_seq bigint NOT NULL,
	started_at timestamptz,
	ended_at timestamptz NOT NULL,
	ran_us bigint NOT NULL,
	worker uuid,
	attempt integer NOT NULL,                -- from 1
	outcome text NOT NULL,                   -- 'failed' or 'crashed'
	fingerprint text NOT NULL,
	error text NOT NULL,
	stack text NOT NULL,
	PRIMARY KEY (job_id, lease_seq)
);

-- The catalogue: what the services declare.
CREATE TABLE {kinds} (
	name text PRIMARY KEY,
	service text NOT NULL,
	build text NOT NULL,
	queue text NOT NULL,
	args_schema text NOT NULL,
	secrets json,
	settings json,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
);
CREATE TABLE {queues} (
	name text PRIMARY KEY,
	service text NOT NULL,
	build text NOT NULL,
	workers integer NOT NULL,
	settings json,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
);

-- Worker processes. A worker lives while lease_until is in the future. Rescue sets it to -infinity before it takes the
-- worker's jobs, so that a renewal at the same moment can't bring the worker back.
CREATE TABLE {workers} (
	id uuid PRIMARY KEY,
	lease_until timestamptz NOT NULL,
	started_at timestamptz NOT NULL,
	renewed_at timestamptz NOT NULL,
	pid integer NOT NULL,
	service text NOT NULL,
	host text NOT NULL,
	build text NOT NULL,
	queues text[] NOT NULL,
	kinds text[] NOT NULL
) WITH (fillfactor = 50);

-- Unique keys: held while the job is live and, with unique_for, until a time in any case.
CREATE TABLE {uniques} (
	key bytea PRIMARY KEY,
	job_id uuid NOT NULL,
	until timestamptz
);
CREATE INDEX {index:uniques}_until ON {uniques} (until);

-- Periodic work that any process may do.
CREATE TABLE {duties} (
	name text PRIMARY KEY,
	next_at timestamptz NOT NULL
);
