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
