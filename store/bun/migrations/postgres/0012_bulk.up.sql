-- Operations on all jobs that a filter selects, with how far each has come. A migration down leaves them, as the audit.
CREATE TABLE IF NOT EXISTS {bulks} (
	id uuid PRIMARY KEY,
	at timestamptz NOT NULL,
	worked_at timestamptz,
	finished_at timestamptz,
	cursor uuid,                                -- jobs with smaller ids are still to come; NULL: all are
	changed bigint NOT NULL DEFAULT 0,
	kept bigint NOT NULL DEFAULT 0,               -- looked at and left as they were
	state text NOT NULL CHECK (state IN ('open', 'done', 'cancelled')),
	actor text NOT NULL,
	reason text NOT NULL,
	operation json NOT NULL,
	filter json NOT NULL,
	error text                                   -- of the last step, when it failed
);
CREATE INDEX IF NOT EXISTS {index:bulks}_open ON {bulks} (worked_at) WHERE state = 'open';
