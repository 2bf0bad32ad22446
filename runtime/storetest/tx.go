package storetest

var txCases = []testCase{}
