-- What operators, and guards in their place, want of workers, before configuration and annotations.
CREATE TABLE {overrides} (
	target text NOT NULL,                    -- '*', 'queue:NAME', 'kind:NAME' or 'worker:ID'
	setting text NOT NULL,
	set_at timestamptz NOT NULL,
	until timestamptz,                       -- NULL: until it is cleared
	value text NOT NULL,
	set_by text NOT NULL,
	reason text NOT NULL,
	PRIMARY KEY (target, setting)
);

-- The builds of each service, in the order in which they were first seen. Those that came later keep their rows of the
-- catalogue while they are at work, whatever older ones start meanwhile.
CREATE TABLE {builds} (
	service text NOT NULL,
	build text NOT NULL,
	first_seen timestamptz NOT NULL,
	last_seen timestamptz NOT NULL,
	retired_at timestamptz,                  -- since when it counts as older than all that are not retired
	PRIMARY KEY (service, build)
);
