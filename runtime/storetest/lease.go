package storetest

var leaseCases = []testCase{}
