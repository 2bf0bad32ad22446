DROP TABLE {steps};
