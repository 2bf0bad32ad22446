-- Scopes of unique keys, and enqueues that replaced what a job was to do.
ALTER TABLE {jobs} ADD COLUMN unique_scope text;  -- until when it holds its key: 'started', 'resolved'; NULL: it has ended
ALTER TABLE {dead} ADD COLUMN unique_scope text;

-- Into which job an enqueue has gone, so that it changes nothing when it comes again. A row of a job with itself says that
-- its arguments are no longer those that it was enqueued with.
CREATE TABLE {replacements} (
	id uuid PRIMARY KEY,
	job_id uuid NOT NULL,
	at timestamptz NOT NULL
);
CREATE INDEX {index:replacements}_at ON {replacements} (at);
