-- Version 1 cannot keep what waits. Rather than lose it, this fails, with the name of the constraint as its message.
CREATE TABLE {jobs}_refuse (
	n boolean CONSTRAINT "jobs wait, take others' outcomes or are in open batches" CHECK (NOT n)
);
INSERT INTO {jobs}_refuse
SELECT EXISTS (SELECT FROM {jobs} WHERE state = 'waiting' OR inputs)
	OR EXISTS (SELECT FROM {dead} WHERE inputs)
	OR EXISTS (SELECT FROM {batches} WHERE state = 'open');
DROP TABLE {jobs}_refuse;

DROP TABLE {batch_deltas};
DROP TABLE {batches};
DROP TABLE {outcomes};
DROP TABLE {edges};

ALTER TABLE {dead} DROP COLUMN batch_id, DROP COLUMN followed, DROP COLUMN inputs;
ALTER TABLE {history} DROP COLUMN batch_id;
DROP INDEX {jobs}_waiting;
ALTER TABLE {jobs}
	DROP COLUMN delay_us, DROP COLUMN batch_id, DROP COLUMN followed, DROP COLUMN inputs,
	DROP CONSTRAINT {index:jobs}_state_check,
	ADD CONSTRAINT {index:jobs}_state_check CHECK (state IN ('scheduled', 'ready', 'running'));
