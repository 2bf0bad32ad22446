package jobrt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jobgen/jobgen/jobtest"
	jobrt "github.com/jobgen/jobgen/runtime"
)

// examined returns what the doctor finds, as "severity check target: what" lines.
func examined(t *testing.T, store jobrt.Store) string {
	t.Helper()
	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := op.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", f.Severity, f.Check, f.Target, f.What))
	}
	return strings.Join(lines, "\n")
}

func TestDoctorSeesWhatIsLate(t *testing.T) {
	ctx := t.Context()
	store := jobtest.NewMemory()
	if got := examined(t, store); got != "" {
		t.Errorf("a fresh store: %s", got)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	session, err := store.Open(ctx, jobrt.WorkerInfo{Service: "shop", Host: "host-a", Queues: []string{"mail"}, Kinds: []string{"shop.Send"}, LeaseTTL: time.Hour})
	must(err)
	worker, err := session.Register(ctx, jobrt.ID{})
	must(err)
	must(store.SyncLoops(ctx, jobrt.LoopSync{Service: "shop", Loops: map[string]time.Duration{"sweep": time.Second}}))
	id := jobrt.ScheduleID{Kind: "shop.Send", Name: "night"}
	must(store.PutSchedule(ctx, nil, jobrt.NewSchedule{ScheduleID: id, Service: "shop", Args: []byte("{}"), Spec: jobrt.ScheduleSpec{
		Every: time.Hour, Misfire: jobrt.MisfireOnce, Overlap: jobrt.OverlapAllow, Grace: time.Minute,
	}}))
	for _, queue := range []string{"mail", "post"} {
		_, err := store.Insert(ctx, nil, []jobrt.NewJob{{ID: jobrt.NewID(), Service: "shop", Kind: "shop.Send", Queue: queue, Priority: 5, Args: []byte("{}")}})
		must(err)
	}
	store.Advance(50 * time.Minute)
	got := examined(t, store)
	for _, want := range []string{
		"error loops loop:sweep: due since 50m0s, and nobody runs it", "error schedules schedule:shop.Send#night: due since 50m0s, and nobody fires it",
		"error unserved kind:shop.Send: 1 ready job in queue post that no live worker serves, due since 50m0s",
		"warning late kind:shop.Send: 1 ready job in queue mail, the oldest due since 50m0s, though workers serve it",
		"warning workers worker:" + worker.String() + ": worker of shop on host-a, pid 0, has not renewed its lease for 50m0s; 10m0s are left",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in\n%s", want, got)
		}
	}
	if first, _, _ := strings.Cut(got, " "); first != "error" {
		t.Errorf("the worst is not first:\n%s", got)
	}
	store.Advance(20 * time.Minute)
	if got := examined(t, store); !strings.Contains(got, "error workers : there is no live worker, and jobs wait: at least 2") || !strings.Contains(got, "was lost 10m0s ago") {
		t.Errorf("after the last worker was lost:\n%s", got)
	}
}

// sickStore is a store of which one question fails.
type sickStore struct{ jobrt.Store }

func (sickStore) Breakers(context.Context) ([]jobrt.Breaker, error) {
	return nil, errors.New("permission denied")
}

func TestACheckThatFailsIsAFindingAndTheOthersGoOn(t *testing.T) {
	store := jobtest.NewMemory()
	if err := store.SyncLoops(t.Context(), jobrt.LoopSync{Service: "shop", Loops: map[string]time.Duration{"sweep": time.Second}}); err != nil {
		t.Fatal(err)
	}
	store.Advance(time.Hour)
	got := examined(t, sickStore{store})
	if !strings.Contains(got, "warning breakers : could not be checked: permission denied") || !strings.Contains(got, "error loops loop:sweep") {
		t.Error(got)
	}
}

// The doctor says what is wrong, why it matters and what to do.
func ExampleOperator_Doctor() {
	ctx := context.Background()
	store := jobtest.NewMemory()
	client, err := jobrt.NewClient(store, jobrt.ClientConfig{})
	if err != nil {
		panic(err)
	}
	if _, err := EnqueueSendInvoice(jobrt.WithClient(ctx, client), SendInvoice{InvoiceID: 7}); err != nil {
		panic(err)
	}
	op, err := jobrt.NewOperator(store, jobrt.Actor{Name: "monitor"})
	if err != nil {
		panic(err)
	}
	found, err := op.Doctor(ctx)
	if err != nil {
		panic(err)
	}
	for _, f := range found {
		fmt.Println(f.Severity, f.Check+":", f.What)
		fmt.Println("because", f.Why)
		fmt.Println("so", f.Do)
	}
	// Output:
	// error workers: there is no live worker, and jobs wait: at least 1
	// because nothing runs, and no schedule fires
	// so start a worker
}
