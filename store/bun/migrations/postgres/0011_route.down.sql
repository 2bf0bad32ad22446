-- What waits to be relayed would be lost. Rather than that, this fails, with the name of the constraint as its message.
CREATE TABLE {outbox}_refuse (
	n boolean CONSTRAINT "jobs wait in the outbox: let them be relayed, or drop them, first" CHECK (NOT n)
);
INSERT INTO {outbox}_refuse SELECT EXISTS (SELECT FROM {outbox});
DROP TABLE {outbox}_refuse;

DROP TABLE {outbox_items};
DROP TABLE {outbox};
