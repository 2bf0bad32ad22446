-- Version 3 would run what has expired, and try again what is to be cancelled. Rather than that, this fails, with the name
-- of the constraint as its message.
CREATE TABLE {jobs}_refuse (
	n boolean CONSTRAINT "jobs may expire or are to be cancelled: let them end first" CHECK (NOT n)
);
INSERT INTO {jobs}_refuse
SELECT EXISTS (SELECT FROM {jobs} WHERE expires_us > 0 OR cancel IS NOT NULL)
	OR EXISTS (SELECT FROM {dead} WHERE expires_us > 0);
DROP TABLE {jobs}_refuse;

ALTER TABLE {dead} DROP COLUMN expires_us, DROP COLUMN trace, DROP COLUMN limit_key;
ALTER TABLE {history} DROP COLUMN trace;
ALTER TABLE {jobs}
	DROP COLUMN expires_us, DROP COLUMN limited, DROP COLUMN cancel, DROP COLUMN trace, DROP COLUMN limit_key;
