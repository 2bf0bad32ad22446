-- What waits to be relayed would be lost. Rather than that, this fails, with the name of the constraint as its message.
CREATE TABLE {index:outbox}_refuse (
	n integer CONSTRAINT "jobs wait in the outbox: let them be relayed, or drop them, first" CHECK (n = 0)
);
INSERT INTO {index:outbox}_refuse SELECT EXISTS (SELECT 1 FROM {outbox});
DROP TABLE {index:outbox}_refuse;

DROP TABLE {outbox_items};
DROP TABLE {outbox};
