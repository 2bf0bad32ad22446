-- Live jobs. Instants and durations are microseconds, ids and JSON are text. seq is the row's own address: a claim
-- finds jobs by an index and changes them by seq.
CREATE TABLE {jobs} (
	seq integer PRIMARY KEY,
	id text NOT NULL UNIQUE,
	service text NOT NULL,
	kind text NOT NULL,
	queue text NOT NULL,
	state text NOT NULL CHECK (state IN ('scheduled', 'ready', 'running')),
	priority integer NOT NULL,
	run_at integer NOT NULL,
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
	args text NOT NULL,
	tags text,
	origin text
) STRICT;
CREATE INDEX {index:jobs}_claim ON {jobs} (queue, kind, priority, run_at, id) WHERE state = 'ready';
CREATE INDEX {index:jobs}_due ON {jobs} (run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_scheduled ON {jobs} (queue, kind, run_at) WHERE state = 'scheduled';
CREATE INDEX {index:jobs}_running ON {jobs} (seq) WHERE state = 'running';

-- Succeeded and cancelled jobs. seq grows in the order in which they ended: upkeep removes from its front.
CREATE TABLE {history} (
	seq integer PRIMARY KEY,
	id text NOT NULL UNIQUE,
	service text NOT NULL,
	kind text NOT NULL,
	queue text NOT NULL,
	state text NOT NULL,
	priority integer NOT NULL,
	run_at integer NOT NULL,
	created_at integer NOT NULL,
	finished_at integer NOT NULL,
	started_at integer,
	ran_us integer NOT NULL,
	attempt integer NOT NULL,
	max_retries integer NOT NULL,
	crashes integer NOT NULL,
	lease_seq integer NOT NULL,
	settled_seq integer,
	worker text,
	keep_result integer NOT NULL,
	args_schema text NOT NULL,
	error text,
	args text NOT NULL,
	result text CHECK (result IS NULL OR json_valid(result)),
	tags text,
	origin text
) STRICT;

-- Dead jobs, kept until somebody decides.
CREATE TABLE {dead} (
	seq integer PRIMARY KEY,
	id text NOT NULL UNIQUE,
	service text NOT NULL,
	kind text NOT NULL,
	queue text NOT NULL,
	reason text NOT NULL,
	priority integer NOT NULL,
	run_at integer NOT NULL,
	created_at integer NOT NULL,
	finished_at integer NOT NULL,
	started_at integer,
	ran_us integer NOT NULL,
	attempt integer NOT NULL,
	max_retries integer NOT NULL,
	crashes integer NOT NULL,
	suspect integer NOT NULL,
	lease_seq integer NOT NULL,
	settled_seq integer,
	worker text,
	timeout_us integer NOT NULL,
	keep_result integer NOT NULL,
	args_schema text NOT NULL,
	decode_schema text,                      -- the schema under which the arguments did not decode
	unique_key text,
	error text,
	fingerprint text,
	args text NOT NULL,
	tags text,
	origin text
) STRICT;
CREATE INDEX {index:dead}_kind ON {dead} (queue, kind, run_at);

-- Failed and crashed attempts. lease_seq is that of the claim.
CREATE TABLE {attempts} (
	job_id text NOT NULL,
	lease_seq integer NOT NULL,
	attempt integer NOT NULL,                -- from 1
	outcome text NOT NULL,                   -- 'failed' or 'crashed'
	started_at integer,
	ended_at integer NOT NULL,
	ran_us integer NOT NULL,
	worker text,
	fingerprint text NOT NULL,
	error text NOT NULL,
	stack text NOT NULL,
	PRIMARY KEY (job_id, lease_seq)
) STRICT;

-- The catalogue: what the services declare.
CREATE TABLE {kinds} (
	name text PRIMARY KEY NOT NULL,
	service text NOT NULL,
	build text NOT NULL,
	queue text NOT NULL,
	args_schema text NOT NULL,
	secrets text,
	settings text,
	created_at integer NOT NULL,
	updated_at integer NOT NULL
) STRICT;
CREATE TABLE {queues} (
	name text PRIMARY KEY NOT NULL,
	service text NOT NULL,
	build text NOT NULL,
	workers integer NOT NULL,
	settings text,
	created_at integer NOT NULL,
	updated_at integer NOT NULL
) STRICT;

-- Worker processes. A worker lives while lease_until is in the future.
CREATE TABLE {workers} (
	id text PRIMARY KEY NOT NULL,
	service text NOT NULL,
	host text NOT NULL,
	pid integer NOT NULL,
	build text NOT NULL,
	queues text NOT NULL,
	kinds text NOT NULL,
	started_at integer NOT NULL,
	renewed_at integer NOT NULL,
	lease_until integer NOT NULL
) STRICT;

-- Unique keys: held while the job is live and, with a time in until, up to that time in any case.
CREATE TABLE {uniques} (
	key text PRIMARY KEY NOT NULL,           -- hexadecimal digits
	job_id text NOT NULL,
	until integer NOT NULL                   -- 0: only while the job is live
) STRICT, WITHOUT ROWID;
CREATE INDEX {index:uniques}_job ON {uniques} (job_id);
CREATE INDEX {index:uniques}_until ON {uniques} (until);

-- Periodic work that any process may do.
CREATE TABLE {duties} (
	name text PRIMARY KEY NOT NULL,
	next_at integer NOT NULL
) STRICT;
