package storetest

var uniqueCases = []testCase{}
