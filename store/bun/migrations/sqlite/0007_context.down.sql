DROP TABLE {progress};
DROP TABLE {logs};
DROP TABLE {steps};
