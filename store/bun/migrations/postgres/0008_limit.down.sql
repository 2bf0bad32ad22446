-- Version 7 knows no limits: what waits for its turn is then claimed at once.
DROP INDEX {jobs}_begun;
DROP INDEX {jobs}_limited_queue;
DROP INDEX {jobs}_limited_kind;
DROP INDEX {jobs}_keys;
DROP TABLE {limit_starts};
DROP TABLE {limits};
