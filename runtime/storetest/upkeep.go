package storetest

var upkeepCases = []testCase{}
