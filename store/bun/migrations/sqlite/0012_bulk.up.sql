-- Operations on all jobs that a filter selects, with how far each has come. A migration down leaves them, as the audit.
CREATE TABLE IF NOT EXISTS {bulks} (
	id text PRIMARY KEY NOT NULL,
	at integer NOT NULL,
	worked_at integer,
	finished_at integer,
	cursor text,                                -- jobs with smaller ids are still to come; NULL: all are
	changed integer NOT NULL DEFAULT 0,
	kept integer NOT NULL DEFAULT 0,               -- looked at and left as they were
	state text NOT NULL CHECK (state IN ('open', 'done', 'cancelled')),
	actor text NOT NULL,
	reason text NOT NULL,
	operation text NOT NULL,
	filter text NOT NULL,
	error text                                   -- of the last step, when it failed
) STRICT;
CREATE INDEX IF NOT EXISTS {index:bulks}_open ON {bulks} (worked_at) WHERE state = 'open';
