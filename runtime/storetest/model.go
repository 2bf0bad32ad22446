package storetest

var modelCases = []testCase{}
