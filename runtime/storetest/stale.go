package storetest

var staleCases = []testCase{}
