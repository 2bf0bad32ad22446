package jobrt

// erasedJob is a Job without its types: what a graph and Preflight need of it.
type erasedJob struct {
	service  string
	names    []string // Kind, then Aliases
	settings Settings
	schema   string
	parents  []ParentType
	next     []Next
	// uniqueKey of encoded arguments; nil when the job has none.
	uniqueKey func(args []byte) ([]byte, error)
	// decode reads arguments that were stored under schema.
	decode func(args []byte, schema string) error
}

func (j *Job[A, R]) erase() *erasedJob {
	e := &erasedJob{
		service: j.Service, names: append([]string{j.Kind}, j.Aliases...), settings: j.Settings, schema: j.Args.Schema,
		parents: j.Parents, next: j.Next,
		decode: func(data []byte, _ string) error {
			var args A
			return j.Args.Decode(data, &args)
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
	return e
}
