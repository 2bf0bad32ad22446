-- What operators, and guards in their place, want of workers, before configuration and annotations.
CREATE TABLE {overrides} (
	target text NOT NULL,                    -- '*', 'queue:NAME', 'kind:NAME' or 'worker:ID'
	setting text NOT NULL,
	value text NOT NULL,
	set_by text NOT NULL,
	reason text NOT NULL,
	set_at integer NOT NULL,
	until integer,                           -- NULL: until it is cleared
	PRIMARY KEY (target, setting)
) STRICT;
