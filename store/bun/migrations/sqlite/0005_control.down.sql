DROP TABLE {builds};
DROP TABLE {overrides};
