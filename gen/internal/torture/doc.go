// Package torture is a module's worth of awkward jobs: every kind of type that can be stored, names that collide, every
// form of handler. Its generated code is checked in, so that tests run it and fuzz its codecs.
package torture
