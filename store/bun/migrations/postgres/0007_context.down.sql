-- Version 6 would do finished steps of unfinished jobs again. Rather than that, this fails, with the name of the constraint
-- as its message.
CREATE TABLE {steps}_refuse (
	n boolean CONSTRAINT "jobs with finished steps have not ended: let them end first" CHECK (NOT n)
);
INSERT INTO {steps}_refuse
SELECT EXISTS (
	SELECT FROM {steps} s
	WHERE EXISTS (SELECT FROM {jobs} WHERE id = s.job_id) OR EXISTS (SELECT FROM {dead} WHERE id = s.job_id));
DROP TABLE {steps}_refuse;

DROP TABLE {progress};
DROP TABLE {logs};
DROP TABLE {steps};
