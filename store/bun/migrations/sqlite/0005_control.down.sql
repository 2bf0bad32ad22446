DROP TABLE {overrides};
