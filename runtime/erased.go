package jobrt

import "reflect"

// erasedJob is a Job without its types: what a graph and Preflight need of it.
type erasedJob struct {
	service  string
	names    []string // Kind, then Aliases
	settings Settings
	schema   string // of the arguments' type; see schemaOf for that of a row
	parents  []ParentType
	next     []Next
	result   reflect.Type
	// takesArgs is false for a job without arguments.
	takesArgs bool
	// uniqueKey of encoded arguments; nil when the job has none.
	uniqueKey func(args []byte) ([]byte, error)
	// limitKey of encoded arguments; nil when the job has none.
	limitKey func(args []byte) (string, error)
	// decode reads arguments that were stored under schema.
	decode func(args []byte, schema string) error
	// decodeFrom reads arguments that are a parent's result.
	decodeFrom func(parent ParentOutcome) error
}

func (j *Job[A, R]) erase() *erasedJob {
	var zero A
	_, none := any(zero).(None)
	e := &erasedJob{
		service: j.Service, names: append([]string{j.Kind}, j.Aliases...), settings: j.Settings, schema: j.Args.Schema,
		parents: j.Parents, next: j.Next, result: reflect.TypeFor[R](), takesArgs: !none,
		decode: func(data []byte, schema string) error {
			_, err := j.decodeArgs(data, schema)
			return err
		},
		decodeFrom: func(parent ParentOutcome) error {
			_, err := j.decodeFrom(parent)
			return err
		},
	}
	if j.UniqueKey != nil {
		e.uniqueKey = func(data []byte) ([]byte, error) {
			var args A
			if err := j.Args.Decode(data, &args); err != nil {
				return nil, err
			}
			return j.UniqueKey(nil, &args)
		}
	}
	if j.LimitKey != nil {
		e.limitKey = func(data []byte) (string, error) {
			var args A
			if err := j.Args.Decode(data, &args); err != nil {
				return "", err
			}
			return limitKeyOf(j.LimitKey, &args)
		}
	}
	return e
}

// noneType is the result of a job that has none.
var noneType = reflect.TypeFor[None]()
