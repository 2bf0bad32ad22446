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
