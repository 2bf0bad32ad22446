-- Which module a service's code is generated in, so that another module can't take the name. A row is made by the
-- service's first start.
CREATE TABLE {services} (
	name text PRIMARY KEY NOT NULL,
	module text NOT NULL,
	former text NOT NULL,                    -- the module that it was taken over from, which may start too; or empty
	build text NOT NULL,
	created_at integer NOT NULL,
	updated_at integer NOT NULL
) STRICT;
