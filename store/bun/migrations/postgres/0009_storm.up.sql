-- How attempts have ended, as each process has counted it. Lines are appended every few seconds (level 0), and folded to
-- one for each minute (1) and later for each hour (2).
CREATE TABLE {stats} (
	at timestamptz NOT NULL,                 -- the beginning of the minute or hour
	flush uuid NOT NULL,                     -- who wrote the line: one sent again is known by it
	line integer NOT NULL,
	level smallint NOT NULL,
	service text NOT NULL,
	kind text NOT NULL,
	queue text NOT NULL,
	build text NOT NULL,
	counts text NOT NULL,                    -- JSON: how many of each end
	wait text NOT NULL,                      -- JSON: histograms
	run text NOT NULL,
	PRIMARY KEY (flush, line)
);
CREATE INDEX {index:stats}_at ON {stats} (level, at);
