-- Schedules, by the kind of their jobs and a name. seq fences: every change increases it. Instants are microseconds.
CREATE TABLE {schedules} (
	kind text NOT NULL,
	name text NOT NULL,
	service text NOT NULL,
	owner text NOT NULL CHECK (owner IN ('code', 'data')),
	seq integer NOT NULL,
	cursor_at integer NOT NULL,             -- ticks up to here have been dealt with
	next_tick integer,                      -- the next instant of the timetable; NULL while nobody has looked
	next_at integer,                        -- when somebody has to look at it; NULL once it has ended
	last_tick integer,
	last_job text,
	runs integer NOT NULL,
	counted integer NOT NULL,               -- runs of the timetable since it was last changed
	missed integer NOT NULL,
	skipped integer NOT NULL,
	ended integer NOT NULL,
	ordered integer NOT NULL,               -- an order is open
	spec text NOT NULL,                     -- as code or data say
	edit text,                              -- what an operator has put over it
	args text NOT NULL,
	args_schema text NOT NULL,
	error text,
	failed_at integer,
	paused_at integer,
	paused_until integer,
	paused_by text,
	paused_reason text,
	orphan_since integer,
	build text NOT NULL,
	created_at integer NOT NULL,
	updated_at integer NOT NULL,
	PRIMARY KEY (kind, name)
) STRICT;
CREATE INDEX {index:schedules}_due ON {schedules} (service, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX {index:schedules}_ordered ON {schedules} (service) WHERE ordered;

-- What schedules have run. manual: an operator triggered it, for the instant at which he did.
CREATE TABLE {schedule_runs} (
	kind text NOT NULL,
	name text NOT NULL,
	tick integer NOT NULL,
	manual integer NOT NULL,
	existed integer NOT NULL,               -- the job is another's, which has the unique key
	job_id text NOT NULL,
	at integer NOT NULL,
	PRIMARY KEY (kind, name, tick, manual)
) STRICT;

-- Runs that operators have ordered: at once, or those of a range.
CREATE TABLE {schedule_orders} (
	id text PRIMARY KEY NOT NULL,
	kind text NOT NULL,
	name text NOT NULL,
	what text NOT NULL CHECK (what IN ('trigger', 'backfill')),
	from_at integer,
	until_at integer,
	cursor_at integer,                      -- up to which a backfill has come
	made integer NOT NULL DEFAULT 0,
	left_out integer NOT NULL DEFAULT 0,    -- ticks that had been run already
	ordered_by text NOT NULL,
	reason text NOT NULL,
	created_at integer NOT NULL,
	done_at integer,
	error text
) STRICT;
CREATE INDEX {index:schedule_orders}_of ON {schedule_orders} (kind, name, id);

-- Loops: one runner at a time in the cluster, the worker while its lease runs. seq fences.
CREATE TABLE {loops} (
	name text PRIMARY KEY NOT NULL,
	service text NOT NULL,
	every_us integer NOT NULL,
	seq integer NOT NULL,
	next_at integer NOT NULL,
	worker text,                            -- whoever runs it now
	started_at integer,
	ended_at integer,
	runs integer NOT NULL DEFAULT 0,
	failures integer NOT NULL DEFAULT 0,
	failing integer NOT NULL DEFAULT 0,     -- failures since the last success
	error text,                             -- of the last run that failed
	failed_at integer,
	paused_at integer,
	paused_until integer,
	paused_by text,
	paused_reason text,
	build text NOT NULL,
	created_at integer NOT NULL,
	updated_at integer NOT NULL
) STRICT;
