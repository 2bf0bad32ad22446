-- Jobs that were enqueued in transactions of this database and go to others. A parcel is relayed all or nothing.
CREATE TABLE {outbox} (
	id uuid PRIMARY KEY,
	queue text NOT NULL,                     -- says which database it goes to
	size bigint NOT NULL,                    -- of the bodies, in bytes
	stowed_at timestamptz NOT NULL,
	at timestamptz NOT NULL,                 -- when it may be taken next
	tries integer NOT NULL DEFAULT 0,
	refused boolean NOT NULL DEFAULT false,  -- the other database was reached, and refused it
	error text NOT NULL DEFAULT ''
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX {index:outbox}_due ON {outbox} (queue, at, id);

-- The jobs and batches of parcels. One that met its unique key is kept without its parcel, for whoever has its id.
CREATE TABLE {outbox_items} (
	id uuid PRIMARY KEY,
	parcel uuid NOT NULL,
	pos integer NOT NULL,
	is_batch boolean NOT NULL,
	kind text NOT NULL,                      -- of a batch: its name
	digest text NOT NULL,
	body text NOT NULL,
	merged uuid,                             -- the job that had the unique key
	merged_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX {index:outbox_items}_parcel ON {outbox_items} (parcel, pos);
CREATE INDEX {index:outbox_items}_merged ON {outbox_items} (merged_at) WHERE merged IS NOT NULL;
