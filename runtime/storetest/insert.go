package storetest

var insertCases = []testCase{}
