-- Dead jobs give up their keys, as they did before; live ones hold theirs until they have ended.
DELETE FROM {uniques} WHERE job_id IN (SELECT id FROM {dead} WHERE unique_scope = 'resolved')
	AND (until IS NULL OR until <= statement_timestamp());
DROP TABLE {replacements};
ALTER TABLE {dead} DROP COLUMN unique_scope;
ALTER TABLE {jobs} DROP COLUMN unique_scope;
