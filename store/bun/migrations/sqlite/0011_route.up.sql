-- Jobs that were enqueued in transactions of this database and go to others. A parcel is relayed all or nothing.
CREATE TABLE {outbox} (
	seq integer PRIMARY KEY,                 -- the order of the transactions, and within them
	id text UNIQUE NOT NULL,
	queue text NOT NULL,                     -- says which database it goes to
	size integer NOT NULL,                   -- of the bodies, in bytes
	stowed_at integer NOT NULL,
	at integer NOT NULL,                     -- when it may be taken next
	tries integer NOT NULL DEFAULT 0,
	refused integer NOT NULL DEFAULT 0,      -- the other database was reached, and refused it
	error text NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX {index:outbox}_due ON {outbox} (queue, at, seq);

-- The jobs and batches of parcels. One that met its unique key is kept without its parcel, for whoever has its id.
CREATE TABLE {outbox_items} (
	id text PRIMARY KEY NOT NULL,
	parcel text NOT NULL,
	pos integer NOT NULL,
	is_batch integer NOT NULL,
	kind text NOT NULL,                      -- of a batch: its name
	digest text NOT NULL,
	body text NOT NULL,
	merged text,                             -- the job that had the unique key
	merged_at integer
) STRICT;
CREATE INDEX {index:outbox_items}_parcel ON {outbox_items} (parcel, pos);
CREATE INDEX {index:outbox_items}_merged ON {outbox_items} (merged_at) WHERE merged IS NOT NULL;
