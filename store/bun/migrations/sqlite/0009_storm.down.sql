DROP TABLE {stats};
