-- Schedules, by the kind of their jobs and a name. seq fences: every change increases it.
CREATE TABLE {schedules} (
	kind text NOT NULL,
	name text NOT NULL,
	service text NOT NULL,
	owner text NOT NULL CHECK (owner IN ('code', 'data')),
	seq bigint NOT NULL,
	cursor_at timestamptz NOT NULL,          -- ticks up to here have been dealt with
	next_tick timestamptz,                   -- the next instant of the timetable; NULL while nobody has looked
	next_at timestamptz,                     -- when somebody has to look at it; NULL once it has ended
	last_tick timestamptz,
	last_job uuid,
	runs bigint NOT NULL,
	counted bigint NOT NULL,                 -- runs of the timetable since it was last changed
	missed bigint NOT NULL,
	skipped bigint NOT NULL,
	ended boolean NOT NULL,
	ordered boolean NOT NULL,                -- an order is open
	spec json NOT NULL,                      -- as code or data say
	edit json,                               -- what an operator has put over it
	args json NOT NULL,
	args_schema text NOT NULL,
	error text,
	failed_at timestamptz,
	paused_at timestamptz,
	paused_until timestamptz,
	paused_by text,
	paused_reason text,
	orphan_since timestamptz,
	build text NOT NULL,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL,
	PRIMARY KEY (kind, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX {index:schedules}_due ON {schedules} (service, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX {index:schedules}_ordered ON {schedules} (service) WHERE ordered;

-- What schedules have run. manual: an operator triggered it, for the instant at which he did.
CREATE TABLE {schedule_runs} (
	kind text NOT NULL,
	name text NOT NULL,
	tick timestamptz NOT NULL,
	manual boolean NOT NULL,
	existed boolean NOT NULL,                -- the job is another's, which has the unique key
	job_id uuid NOT NULL,
	at timestamptz NOT NULL,
	PRIMARY KEY (kind, name, tick, manual)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- Runs that operators have ordered: at once, or those of a range.
CREATE TABLE {schedule_orders} (
	id uuid PRIMARY KEY,
	kind text NOT NULL,
	name text NOT NULL,
	what text NOT NULL CHECK (what IN ('trigger', 'backfill')),
	from_at timestamptz,
	until_at timestamptz,
	cursor_at timestamptz,                   -- up to which a backfill has come
	made integer NOT NULL DEFAULT 0,
	left_out integer NOT NULL DEFAULT 0,     -- ticks that had been run already
	ordered_by text NOT NULL,
	reason text NOT NULL,
	created_at timestamptz NOT NULL,
	done_at timestamptz,
	error text
);
CREATE INDEX {index:schedule_orders}_of ON {schedule_orders} (kind, name, id);

-- Loops: one runner at a time in the cluster, the worker while its lease runs. seq fences.
CREATE TABLE {loops} (
	name text PRIMARY KEY,
	service text NOT NULL,
	every_us bigint NOT NULL,
	seq bigint NOT NULL,
	next_at timestamptz NOT NULL,
	worker uuid,                             -- whoever runs it now
	started_at timestamptz,
	ended_at timestamptz,
	runs bigint NOT NULL DEFAULT 0,
	failures bigint NOT NULL DEFAULT 0,
	failing integer NOT NULL DEFAULT 0,      -- failures since the last success
	error text,                              -- of the last run that failed
	failed_at timestamptz,
	paused_at timestamptz,
	paused_until timestamptz,
	paused_by text,
	paused_reason text,
	build text NOT NULL,
	created_at timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);
