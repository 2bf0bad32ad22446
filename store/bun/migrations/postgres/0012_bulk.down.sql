-- What is under way would stand still. Rather than that, this fails, with the name of the constraint as its message.
CREATE TABLE {bulks}_refuse (
	n boolean CONSTRAINT "bulk operations are open: let them end, or cancel them, first" CHECK (NOT n)
);
INSERT INTO {bulks}_refuse SELECT EXISTS (SELECT 1 FROM {bulks} WHERE state = 'open');
DROP TABLE {bulks}_refuse;
