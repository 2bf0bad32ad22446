DROP TABLE {breakers};
DROP TABLE {stats};
