-- Version 7 knows no limits: what waits for its turn is then claimed at once.
DROP INDEX {index:jobs}_begun;
DROP INDEX {index:jobs}_limited_queue;
DROP INDEX {index:jobs}_limited_kind;
DROP INDEX {index:jobs}_keys;
DROP TABLE {limit_starts};
DROP TABLE {limits};
