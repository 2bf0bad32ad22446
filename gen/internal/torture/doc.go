// Package torture tests generated code on a module's worth of awkward jobs: every kind of type that can be stored, names
// that collide, every form of handler. The packages and the code generated for them lie in testdata, so that their jobs
// and queues are not mistaken for this module's; go test ./gen/templates -update renders that code anew.
package torture
