package jobrt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func send(context.Context, order) (receipt, error) { return receipt{"m1"}, nil }

func TestAStoredNameHasOneHandler(t *testing.T) {
	r := NewRegistry()
	if err := Register(r, sendJob(), send); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"shop/billing.Send", "shop/mail.Send"}, r.Kinds()); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	renamed := func(kind string, aliases ...string) *Job[order, receipt] {
		j := sendJob()
		j.Kind, j.Aliases = kind, aliases
		return j
	}
	for name, job := range map[string]*Job[order, receipt]{
		"the same":                  sendJob(),
		"named like an alias":       renamed("shop/mail.Send"),
		"with a taken alias":        renamed("shop/x.Send", "shop/mail.Send"),
		"with a name as its alias":  renamed("shop/x.Send", "shop/y.Send", "shop/billing.Send"),
		"without a name of its own": renamed(""),
	} {
		if err := Register(r, job, send); err == nil || job.Kind != "" && !strings.Contains(err.Error(), "shop/billing.Send") {
			t.Errorf("%s: got %v", name, err)
		}
		if n := len(r.Kinds()); n != 2 {
			t.Errorf("%s: refused, but %d kinds are registered", name, n)
		}
	}
	if err := Register(r, renamed("shop/x.Send"), nil); err == nil {
		t.Error("a nil handler is registered")
	}
	if r.lookup("shop/mail.Send") != r.lookup("shop/billing.Send") || r.lookup("shop/none.Send") != nil {
		t.Error("an alias does not lead to its job, or an unknown name does")
	}
}

func TestARegisteredJobRunsFromBytesToBytes(t *testing.T) {
	r := NewRegistry()
	var got order
	err := Register(r, sendJob(), func(_ context.Context, o order) (receipt, error) {
		got = o
		if o.N < 0 {
			return receipt{"lost"}, errRefused
		}
		return receipt{fmt.Sprint("m", o.N)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, args []byte, keep bool) ([]byte, error) {
		c, err := r.lookup("shop/mail.Send").open(&ClaimedJob{Args: args, ArgsSchema: sendJob().Args.Schema})
		if err != nil {
			return nil, err
		}
		return c.run(ctx, keep)
	}
	if result, err := run(t.Context(), []byte(`{"n":7,"unknown":true}`), true); err != nil || string(result) != `{"message_id":"m7"}` || got.N != 7 {
		t.Errorf("got %s, %v of %+v", result, err, got)
	}
	if result, err := run(t.Context(), []byte(`{"n":7}`), false); err != nil || result != nil {
		t.Errorf("result not kept: got %s, %v", result, err)
	}
	if result, err := run(t.Context(), []byte(`{"n":-1}`), true); err != errRefused || result != nil {
		t.Errorf("a failure: got %s, %v", result, err)
	}
	var decode *decodeError
	if _, err := run(t.Context(), []byte(`{"n":"seven"}`), true); !errors.As(err, &decode) {
		t.Errorf("arguments that do not decode: got %v", err)
	}
}

func TestPermanentErrorsAreFoundInTheirChain(t *testing.T) {
	r := NewRegistry()
	if err := Register(r, sendJob(), send, PermanentErrors(errRefused, ErrNotFound), PermanentErrorType[*ArgsError]()); err != nil {
		t.Fatal(err)
	}
	permanent := func(err error) bool {
		for _, is := range r.lookup("shop/billing.Send").permanent {
			if is(err) {
				return true
			}
		}
		return false
	}
	for _, err := range []error{errRefused, fmt.Errorf("a: %w", ErrNotFound), fmt.Errorf("b: %w", &ArgsError{}), errors.Join(ErrTimeout, errRefused)} {
		if !permanent(err) {
			t.Errorf("%v is not permanent", err)
		}
	}
	for _, err := range []error{ErrTimeout, errors.New(errRefused.Error())} {
		if permanent(err) {
			t.Errorf("%v is permanent", err)
		}
	}
}

func TestWrongRegisterOptionsFail(t *testing.T) {
	for name, opt := range map[string]RegisterOption{"zero": {}, "nil error": PermanentErrors(errRefused, nil)} {
		r := NewRegistry()
		if err := Register(r, sendJob(), send, opt); err == nil || !strings.Contains(err.Error(), "shop/billing.Send") || len(r.Kinds()) != 0 {
			t.Errorf("%s: got %v, %v", name, err, r.Kinds())
		}
	}
}

func TestResultsAreEncodedByTheirType(t *testing.T) {
	r := NewRegistry()
	if err := Register(r, sendJob(), send); err != nil {
		t.Fatal(err)
	}
	encode := r.lookup("shop/billing.Send").encodeResult
	if data, err := encode(receipt{"m1"}); err != nil || string(data) != `{"message_id":"m1"}` {
		t.Errorf("got %s, %v", data, err)
	}
	if _, err := encode(order{}); err == nil || !strings.Contains(err.Error(), "jobrt.receipt") || !strings.Contains(err.Error(), "jobrt.order") {
		t.Errorf("another type: got %v", err)
	}
}

func TestQueuesAreDeclaredOnce(t *testing.T) {
	r := NewRegistry()
	if err := r.DeclareQueue(QueueInfo{Name: "billing", Workers: 5}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"billing", "", "two words"} {
		if err := r.DeclareQueue(QueueInfo{Name: name}); err == nil {
			t.Errorf("%q was declared", name)
		}
	}
}

func TestTheCatalogueIsWhatTheBinaryDeclares(t *testing.T) {
	r := NewRegistry()
	job := sendJob()
	job.Args.Secrets, job.Result.Secrets = []string{".text"}, []string{".message_id"}
	job.Settings.Declared = []Setting{{"queue", "billing"}}
	other := sendJob()
	other.Kind, other.Aliases, other.Settings.Queue = "shop/a.Other", nil, "undeclared"
	for _, err := range []error{
		Register(r, job, send), Register(r, other, send),
		r.DeclareQueue(QueueInfo{Name: "billing", Workers: 5}), r.DeclareQueue(QueueInfo{Name: "empty", Workers: 1}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := r.catalog("v1")
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{".text", "result.message_id"}
	want := Catalog{
		Service: "shop", Build: "v1",
		Kinds: []KindInfo{
			{Kind: "shop/a.Other", Queue: "undeclared", ArgsSchema: "0123456789abcdef"},
			{Kind: "shop/billing.Send", Queue: "billing", ArgsSchema: "0123456789abcdef", Secrets: secrets, Settings: job.Settings.Declared},
			{Kind: "shop/mail.Send", Queue: "billing", ArgsSchema: "0123456789abcdef", Secrets: secrets, Settings: job.Settings.Declared},
		},
		Queues: []QueueInfo{{Name: "billing", Workers: 5}, {Name: "empty", Workers: 1}, {Name: "undeclared"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("catalogue differs (-want +got):\n%s", diff)
	}
}

func TestARegistryServesOneService(t *testing.T) {
	r := NewRegistry()
	other := sendJob()
	other.Service, other.Kind, other.Aliases = "post", "post/a.Send", nil
	if err := errors.Join(Register(r, sendJob(), send), Register(r, other, send)); err != nil {
		t.Fatal(err)
	}
	for range 20 { // the text does not depend on the order of a map
		if _, err := r.catalog(""); err == nil || !strings.Contains(err.Error(), `"post" and "shop"`) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestARegistryServesOneModule(t *testing.T) {
	r := NewRegistry()
	for range 2 {
		if err := r.DeclareService("shop", "example.com/eu/shop"); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range [][2]string{{"shop", "example.com/us/shop"}, {"post", "example.com/eu/shop"}, {"", "example.com/eu/shop"}, {"shop", ""}} {
		if err := r.DeclareService(other[0], other[1]); err == nil {
			t.Errorf("%q was declared too", other)
		}
	}
	if err := Register(r, sendJob(), send); err != nil {
		t.Fatal(err)
	}
	if c, err := r.catalog(""); err != nil || c.Service != "shop" || c.Module != "example.com/eu/shop" {
		t.Errorf("catalogue of %q, module %q: %v", c.Service, c.Module, err)
	}
	other := sendJob()
	other.Service, other.Kind, other.Aliases = "post", "post/a.Send", nil
	if err := Register(r, other, send); err != nil {
		t.Fatal(err)
	}
	if _, err := r.catalog(""); err == nil || !strings.Contains(err.Error(), `"post"`) {
		t.Errorf("a job of another service: %v", err)
	}
}

func TestARegistryIsSafeForConcurrentUse(t *testing.T) {
	r := NewRegistry()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			job := sendJob()
			job.Kind, job.Aliases = fmt.Sprintf("shop/k%02d.Send", i), nil
			if err := Register(r, job, send); err != nil {
				t.Error(err)
			}
			r.lookup(job.Kind)
			r.Kinds()
			if _, err := r.catalog(""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(r.Kinds()); n != 20 {
		t.Errorf("%d kinds", n)
	}
}
