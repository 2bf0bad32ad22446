package storetest

var resendCases = []testCase{}
