package storetest

var poisonCases = []testCase{}
