-- How attempts have ended, as each process has counted it. Lines are appended every few seconds (level 0), and folded to
-- one for each minute (1) and later for each hour (2).
CREATE TABLE {stats} (
	at integer NOT NULL,                     -- the beginning of the minute or hour
	flush text NOT NULL,                     -- who wrote the line: one sent again is known by it
	line integer NOT NULL,
	level integer NOT NULL,
	service text NOT NULL,
	kind text NOT NULL,
	queue text NOT NULL,
	build text NOT NULL,
	counts text NOT NULL,                    -- JSON: how many of each end
	wait text NOT NULL,                      -- JSON: histograms
	run text NOT NULL,
	PRIMARY KEY (flush, line)
) STRICT;
CREATE INDEX {index:stats}_at ON {stats} (level, at);

-- Breakers of kinds, one row for each kind with breaker= that has failed.
CREATE TABLE {breakers} (
	kind text PRIMARY KEY NOT NULL,
	service text NOT NULL,
	state text NOT NULL CHECK (state IN ('closed', 'open', 'half-open')),
	version integer NOT NULL,                -- rises with each change of state
	failures integer NOT NULL,               -- in a row, while closed
	opens integer NOT NULL,                  -- since it was last closed
	reason text NOT NULL,                    -- the failure that opened it
	opened_at integer,
	retry_at integer,                        -- open: when a worker may try one job
	probe text,                              -- half-open: which worker tries, until when
	probe_until integer
) STRICT;
