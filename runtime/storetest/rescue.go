package storetest

var rescueCases = []testCase{}
