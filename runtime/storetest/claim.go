package storetest

var claimCases = []testCase{}
