-- Results of the finished steps of jobs, kept while the job is live or dead. A row changes only while the claim that
-- writes it is in force.
CREATE TABLE {steps} (
	job_id text NOT NULL,
	name text NOT NULL,
	lease_seq integer NOT NULL,              -- of the claim that ran it
	at integer NOT NULL,
	result text NOT NULL CHECK (json_valid(result)),
	PRIMARY KEY (job_id, name)
) STRICT;

-- Log lines of jobs, kept as long as the job is.
CREATE TABLE {logs} (
	job_id text NOT NULL,
	lease_seq integer NOT NULL,              -- of the claim that wrote it
	seq integer NOT NULL,                    -- of the claim's lines, from 1
	attempt integer NOT NULL,                -- from 1
	level integer NOT NULL,                  -- debug -4, info 0, warn 4, error 8
	at integer NOT NULL,                     -- the worker's clock
	message text NOT NULL,
	attrs text CHECK (attrs IS NULL OR json_valid(attrs)),
	PRIMARY KEY (job_id, lease_seq, seq)
) STRICT, WITHOUT ROWID;

-- How far jobs are, kept as long as the job is.
CREATE TABLE {progress} (
	job_id text PRIMARY KEY NOT NULL,
	lease_seq integer NOT NULL,              -- of the claim that has said so
	seq integer NOT NULL,                    -- how often it had
	done integer NOT NULL,
	total integer NOT NULL,                  -- 0: unknown
	message text NOT NULL,
	at integer NOT NULL
) STRICT;
