-- Live jobs. Instants are microseconds since 1970, ids and JSON are text.
CREATE TABLE {jobs} (
	id text PRIMARY KEY,
	run_at integer NOT NULL,
	created_at integer NOT NULL,
	lease_seq integer NOT NULL DEFAULT 0,     -- grows on every entry to and exit from running; never reset
	settled_seq integer,                      -- lease_seq of the claim that the last Finish has settled
	timeout_us integer NOT NULL DEFAULT 0,    -- 0: the kind's
	lease_owner text,                        -- worker, while running
	max_retries integer NOT NULL,
	attempt integer NOT NULL DEFAULT 0,      -- failures so far
	crashes integer NOT NULL DEFAULT 0,
	priority integer NOT NULL,
	started integer NOT NULL DEFAULT 0,  -- while running: a handler may have seen it
	suspect integer NOT NULL DEFAULT 0,  -- a worker vanished while it held the job
	keep_result integer NOT NULL DEFAULT 0,
	state text NOT NULL CHECK (state IN ('scheduled', 'ready', 'running')),
	queue text NOT NULL,
	kind text NOT NULL,
	service text NOT NULL,
	args_schema text NOT NULL,
	unique_key blob,
	args text NOT NULL,
	tags text,
	origin text
);
CREATE INDEX {index:jobs}_claim ON {jobs} (queue, kind, priority, run_at, id) WHERE state = 'ready';
CREATE INDEX {index:jobs}_due ON {jobs} (run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_scheduled ON {jobs} (queue, kind, run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_running ON {jobs} (lease_owner) WHERE state = 'running';

-- Succeeded and cancelled jobs.
CREATE TABLE {history} (
	id text PRIMARY KEY,
	run_at integer NOT NULL,
	created_at integer NOT NULL,
	finished_at integer NOT NULL,
	started_at integer,
	lease_seq integer NOT NULL,
	settled_seq integer,
	ran_us integer NOT NULL,
	worker text,
	max_retries integer NOT NULL,
	attempt integer NOT NULL,
	crashes integer NOT NULL,
	priority integer NOT NULL,
	keep_result integer NOT NULL,
	state text NOT NULL,
	queue text NOT NULL,
	kind text NOT NULL,
	service text NOT NULL,
	args_schema text NOT NULL,
	error text,
	args text NOT NULL,
	result text,
	tags text,
	origin text
);


-- Dead jobs, kept until somebody decides.
CREATE TABLE {dead} (
	id text PRIMARY KEY,
	run_at integer NOT NULL,
	created_at integer NOT NULL,
	finished_at integer NOT NULL,
	started_at integer,
	lease_seq integer NOT NULL,
	settled_seq integer,
	ran_us integer NOT NULL,
	timeout_us integer NOT NULL,
	worker text,
	max_retries integer NOT NULL,
	attempt integer NOT NULL,
	crashes integer NOT NULL,
	priority integer NOT NULL,
	suspect integer NOT NULL,
	keep_result integer NOT NULL,
	reason text NOT NULL,
	queue text NOT NULL,
	kind text NOT NULL,
	service text NOT NULL,
	args_schema text NOT NULL,
	decode_schema text,                      -- the schema under which the arguments did not decode
	unique_key blob,
	error text,
	fingerprint text,
	args text NOT NULL,
	tags text,
	origin text
);
CREATE INDEX {index:dead}_kind ON {dead} (queue, kind, run_at);

-- Failed and crashed attempts. lease_seq is that of the claim.
CREATE TABLE {attempts} (
	job_id text NOT NULL,
	lease_seq integer NOT NULL,
	started_at integer,
	ended_at integer NOT NULL,
	ran_us integer NOT NULL,
	worker text,
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
	secrets text,
	settings text,
	created_at integer NOT NULL,
	updated_at integer NOT NULL
);
CREATE TABLE {queues} (
	name text PRIMARY KEY,
	service text NOT NULL,
	build text NOT NULL,
	workers integer NOT NULL,
	settings text,
	created_at integer NOT NULL,
	updated_at integer NOT NULL
);

-- Worker processes. A worker lives while lease_until is in the future.
CREATE TABLE {workers} (
	id text PRIMARY KEY,
	lease_until integer NOT NULL,
	started_at integer NOT NULL,
	renewed_at integer NOT NULL,
	pid integer NOT NULL,
	service text NOT NULL,
	host text NOT NULL,
	build text NOT NULL,
	queues text NOT NULL,
	kinds text NOT NULL
);

-- Unique keys: held while the job is live and, with unique_for, until a time in any case.
CREATE TABLE {uniques} (
	key blob PRIMARY KEY,
	job_id text NOT NULL,
	until integer
);
CREATE INDEX {index:uniques}_until ON {uniques} (until);

-- Periodic work that any process may do.
CREATE TABLE {duties} (
	name text PRIMARY KEY,
	next_at integer NOT NULL
);

