-- What is under way would stand still. Rather than that, this fails, with the name of the constraint as its message.
CREATE TABLE {index:bulks}_refuse (
	n integer CONSTRAINT "bulk operations are open: let them end, or cancel them, first" CHECK (n = 0)
);
INSERT INTO {index:bulks}_refuse SELECT EXISTS (SELECT 1 FROM {bulks} WHERE state = 'open');
DROP TABLE {index:bulks}_refuse;
