-- Version 3 would run what has expired, and try again what is to be cancelled. Rather than that, this fails, with the name
-- of the constraint as its message.
CREATE TABLE {index:jobs}_refuse (
	n integer CONSTRAINT "jobs may expire or are to be cancelled: let them end first" CHECK (n = 0)
);
INSERT INTO {index:jobs}_refuse
SELECT EXISTS (SELECT 1 FROM {jobs} WHERE expires_us > 0 OR cancel IS NOT NULL)
	OR EXISTS (SELECT 1 FROM {dead} WHERE expires_us > 0);
DROP TABLE {index:jobs}_refuse;

ALTER TABLE {dead} DROP COLUMN expires_us;
ALTER TABLE {dead} DROP COLUMN trace;
ALTER TABLE {dead} DROP COLUMN limit_key;
ALTER TABLE {history} DROP COLUMN trace;
DROP INDEX {index:jobs}_linked;
CREATE INDEX {index:jobs}_linked ON {jobs} (id) WHERE state = 'running' AND (followed <> 0 OR batch_id IS NOT NULL);
DROP INDEX {index:jobs}_cancel;
DROP INDEX {index:jobs}_expires;
ALTER TABLE {jobs} DROP COLUMN expires_us;
ALTER TABLE {jobs} DROP COLUMN limited;
ALTER TABLE {jobs} DROP COLUMN cancel;
ALTER TABLE {jobs} DROP COLUMN trace;
ALTER TABLE {jobs} DROP COLUMN limit_key;
