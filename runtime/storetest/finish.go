package storetest

var finishCases = []testCase{}
