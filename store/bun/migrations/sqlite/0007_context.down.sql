-- Version 6 would do finished steps of unfinished jobs again. Rather than that, this fails, with the name of the constraint
-- as its message.
CREATE TABLE {index:steps}_refuse (
	n integer CONSTRAINT "jobs with finished steps have not ended: let them end first" CHECK (n = 0)
);
INSERT INTO {index:steps}_refuse
SELECT EXISTS (
	SELECT 1 FROM {steps} s
	WHERE EXISTS (SELECT 1 FROM {jobs} WHERE id = s.job_id) OR EXISTS (SELECT 1 FROM {dead} WHERE id = s.job_id));
DROP TABLE {index:steps}_refuse;

DROP TABLE {progress};
DROP TABLE {logs};
DROP TABLE {steps};
