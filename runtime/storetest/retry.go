package storetest

var retryCases = []testCase{}
