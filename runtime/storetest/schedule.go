package storetest

var scheduleCases = []testCase{}
