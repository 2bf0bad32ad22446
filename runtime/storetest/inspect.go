package storetest

var inspectCases = []testCase{}
