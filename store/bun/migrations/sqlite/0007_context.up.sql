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
