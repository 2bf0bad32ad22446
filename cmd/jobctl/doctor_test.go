package main

import (
	"encoding/json"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	onEachShop(t, func(t *testing.T, s *shop) {
		s.contains(s.run("doctor"), exitOK, "0 errors, 0 warnings, ")
		s.add("LOST", lostKind)
		s.add("DOUBT", sendKind)
		s.end(died(jobrt.DeadInDoubt))
		s.contains(s.run("pause", "--queue", "billing", "--by", "ann", "--reason", "audit"), exitOK)
		s.must(s.store.Stow(t.Context(), nil, []jobrt.OutboxParcel{{
			ID: jobrt.NewID(), Queue: "mail", Items: []jobrt.OutboxItem{{ID: jobrt.NewID(), Kind: sendKind, Digest: "d", Body: []byte("{}")}},
		}}))
		taken, err := s.store.TakeOutbox(t.Context(), jobrt.OutboxRequest{Queues: []string{"mail"}, Limit: 1, Bytes: 1000, Hold: 1})
		s.must(err)
		s.must(s.store.SettleOutbox(t.Context(), []jobrt.OutboxEnd{{Parcel: taken[0].ID, Refused: true, Error: "no such kind", Delay: 1}}))
		_, err = s.store.DB().ExecContext(t.Context(), "CREATE TABLE invoices (id integer)")
		s.must(err)

		s.contains(s.run("doctor"), exitFailed, "ERROR outbox queue:mail: 1 parcel on their way", "no such kind\n",
			"WARNING dead: 1 dead job, in doubt: jobctl list --dead-reason 'in doubt'\n", "  do: | ask it; jobctl retry --in-doubt ID if it was not\n", "1 error, 1 warning, ")
		s.contains(s.run("doctor", "--notes"), exitFailed, "NOTE held queue:billing: paused=true, set by ann ", ": audit\n", "NOTE isolation: the jobs share their ", " with tables of others: 1")
		s.contains(s.run("resume", "--queue", "billing"), exitOK)
		s.contains(s.run("doctor"), exitFailed, "WARNING unserved kind:"+lostKind+": 1 ready job in queue billing that no live worker serves\n")

		got := s.run("doctor", "--json")
		for line := range strings.Lines(got.out) {
			var f jobrt.Finding
			if err := json.Unmarshal([]byte(line), &f); err != nil || f.What == "" || f.Why == "" || f.Check == "" {
				t.Errorf("line %q: %v", line, err)
			}
		}
		s.must(s.session.Close(t.Context(), s.worker))
		s.contains(s.run("doctor"), exitFailed, "ERROR workers: there is no live worker, and jobs wait: at least 1\n")
	})
}
