package contexts

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"
)

//job:handler
func Deaf(ctx context.Context) error {
	store(context.Background(), 1)           // want `handler Deaf uses context.Background`
	go func() { store(context.TODO(), 2) }() // want `uses context.TODO`
	time.Sleep(time.Second)                  // want `handler Deaf sleeps`
	store(context.WithoutCancel(ctx), 3)
	http.Get("http://127.0.0.1") // want `calls net/http.Get, which its context can't end; use http.NewRequestWithContext`
	exec.Command("true").Run()   // want `use exec.CommandContext`
	return nil
}

//job:handler
func Query(ctx context.Context) error {
	var db *sql.DB
	db.Exec("DELETE FROM t") // want `use ExecContext`
	_, err := db.ExecContext(ctx, "DELETE FROM t")
	return err
}

//job:handler
func Loop(_ context.Context) error {
	for i := range 10 { // want `handler Loop loops and never looks at its context`
		touch(i)
	}
	return nil
}

//job:handler
func Endless(ctx context.Context) error {
	n := 0
	for { // want `handler Endless loops`
		n++
	}
}

//job:handler
func Sum(ctx context.Context) error {
	n := 0
	for i := range 10 {
		n += i
	}
	return nil
}

//job:handler
func Listens(ctx context.Context) error {
	for i := range 10 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		touch(i)
	}
	return nil
}

// Compute calls only what is soon over.
//
//job:handler
func Compute(ctx context.Context) error {
	var b strings.Builder
	var took time.Duration
	for _, line := range []string{"a", "b"} {
		b.WriteString(strings.ToUpper(fmt.Sprintf("%q", line)))
		took += time.Duration(took.Seconds())
	}
	return nil
}

//job:handler
func Iterate(_ context.Context) error {
	for i := range slices.Values([]int{1}) { // want `handler Iterate loops`
		touch(i)
	}
	return nil
}

//job:handler
func Receive(ctx context.Context) error {
	n := 0
	for range time.Tick(time.Second) { // want `handler Receive loops`
		n++
	}
	return nil
}

//job:handler
func Request(ctx context.Context) error {
	req, err := http.NewRequest("GET", "http://127.0.0.1", nil)
	if err != nil {
		return err
	}
	_, err = http.DefaultClient.Do(req.WithContext(ctx))
	return err
}

//job:handler
func DeafRequest(ctx context.Context) error {
	req, err := http.NewRequest("GET", "http://127.0.0.1", nil) // want `use http.NewRequestWithContext`
	if err != nil {
		return err
	}
	_, err = http.DefaultClient.Do(req)
	return err
}

// Plain is no handler.
func Plain() {
	time.Sleep(time.Second)
	store(context.Background(), 1)
}

func store(ctx context.Context, n int) {}
func touch(n int)                      {}
