-- Versions before this one cannot keep what people have entered. Rather than lose it, this fails, with the name of the
-- constraint as its message.
CREATE TABLE {index:schedules}_refuse (
	n integer CONSTRAINT "schedules from data exist; remove them first" CHECK (n = 0)
) STRICT;
INSERT INTO {index:schedules}_refuse SELECT EXISTS (SELECT 1 FROM {schedules} WHERE owner = 'data');
DROP TABLE {index:schedules}_refuse;

DROP TABLE {loops};
DROP TABLE {schedule_orders};
DROP TABLE {schedule_runs};
DROP TABLE {schedules};
