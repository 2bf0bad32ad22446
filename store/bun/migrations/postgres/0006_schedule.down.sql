-- Versions before this one cannot keep what people have entered. Rather than lose it, this fails, with the name of the
-- constraint as its message.
CREATE TABLE {schedules}_refuse (
	n boolean CONSTRAINT "schedules from data exist; remove them first" CHECK (NOT n)
);
INSERT INTO {schedules}_refuse SELECT EXISTS (SELECT FROM {schedules} WHERE owner = 'data');
DROP TABLE {schedules}_refuse;

DROP TABLE {loops};
DROP TABLE {schedule_orders};
DROP TABLE {schedule_runs};
DROP TABLE {schedules};
