// Package mistake registers a handler that one system lacks.
package mistake

import "github.com/hibiken/asynq"

func Register(mux *asynq.ServeMux) { mux.HandleFunc("print", Print) }
