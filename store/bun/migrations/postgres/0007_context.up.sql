-- Results of the finished steps of jobs, kept while the job is live or dead. A row changes only while the claim that
-- writes it is in force.
CREATE TABLE {steps} (
	job_id uuid NOT NULL,
	name text NOT NULL,
	lease_seq bigint NOT NULL,               -- of the claim that ran it
	at timestamptz NOT NULL,
	result json NOT NULL,
	PRIMARY KEY (job_id, name)
);

-- Log lines of jobs, kept as long as the job is.
CREATE TABLE {logs} (
	job_id uuid NOT NULL,
	lease_seq bigint NOT NULL,               -- of the claim that wrote it
	seq integer NOT NULL,                    -- of the claim's lines, from 1
	attempt integer NOT NULL,                -- from 1
	level integer NOT NULL,                  -- debug -4, info 0, warn 4, error 8
	at timestamptz NOT NULL,                 -- the worker's clock
	message text NOT NULL,
	attrs json,
	PRIMARY KEY (job_id, lease_seq, seq)
);

-- How far jobs are, kept as long as the job is. A row is rewritten once a second while its job runs.
CREATE TABLE {progress} (
	job_id uuid PRIMARY KEY,
	lease_seq bigint NOT NULL,               -- of the claim that has said so
	seq bigint NOT NULL,                     -- how often it had
	done bigint NOT NULL,
	total bigint NOT NULL,                   -- 0: unknown
	at timestamptz NOT NULL,
	message text NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
