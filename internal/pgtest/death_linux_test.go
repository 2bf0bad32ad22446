package pgtest_test

const diesWithParent = true
