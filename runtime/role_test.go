package jobrt_test

import (
	"encoding/json"
	"flag"
	"io"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestARoleIsReadFromFlagsAndText(t *testing.T) {
	for name, want := range map[string]struct {
		role        jobrt.Role
		web, worker bool
	}{
		"": {jobrt.RoleAll, true, true}, "all": {jobrt.RoleAll, true, true},
		"web": {jobrt.RoleWeb, true, false}, "worker": {jobrt.RoleWorker, false, true},
	} {
		var fromFlag, fromText jobrt.Role
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.Var(&fromFlag, "role", "")
		if err := flags.Parse([]string{"-role", name}); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(`"`+name+`"`), &fromText); err != nil {
			t.Fatal(err)
		}
		if fromFlag != want.role || fromText != want.role || fromFlag.Web() != want.web || fromFlag.Worker() != want.worker {
			t.Errorf("%q is read as %v and %v", name, fromFlag, fromText)
		}
		if again, err := jobrt.ParseRole(fromFlag.String()); err != nil || again != want.role {
			t.Errorf("%v is written so that it is read as %v, %v", want.role, again, err)
		}
	}
	role := jobrt.RoleAll
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Var(&role, "role", "")
	if err := flags.Parse([]string{"-role", "wroker"}); err == nil {
		t.Error("an unknown role was taken")
	}
}
