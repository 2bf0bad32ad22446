DROP TABLE {services};
