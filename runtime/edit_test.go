package jobrt_test

import (
	"errors"
	"strings"
	"testing"

	jobrt "github.com/jobgen/jobgen/runtime"
)

func TestAnEditThroughTheCodecMovesTheUniqueKeyAndRefusesForeignKinds(t *testing.T) {
	b := newBench(t, nil)
	job := newJob("Mail")
	job.UniqueKey = func(dst []byte, w *work) ([]byte, error) { return append(dst, w.Text...), nil }
	ann := jobrt.Actor{Name: "ann"}
	rename := func(to string) func(*work) error { return func(w *work) error { w.Text = to; return nil } }
	first, second := b.enqueue(job, work{Text: "a"}), b.enqueue(job, work{Text: "b"})
	var conflict *jobrt.UniqueConflictError
	if err := jobrt.EditArgs(t.Context(), b.client, ann, job, first.ID(), rename("b")); !errors.As(err, &conflict) || conflict.Holder != second.ID() {
		t.Errorf("edit to a key that is held: %v", err)
	}
	if err := jobrt.EditArgs(t.Context(), b.client, ann, job, first.ID(), rename("c")); err != nil {
		t.Fatal(err)
	}
	if h := b.enqueue(job, work{Text: "c"}); !h.Existed() || h.ID() != first.ID() {
		t.Errorf("the new key is not held: %v", h)
	}
	if h := b.enqueue(job, work{Text: "a"}); h.Existed() {
		t.Error("the former key is still held")
	}
	if err := jobrt.EditArgs(t.Context(), b.client, ann, newJob("Other"), first.ID(), rename("x")); err == nil || !strings.Contains(err.Error(), "is of kind") {
		t.Errorf("edit as another kind: %v", err)
	}
	wrong := errors.New("no")
	if err := jobrt.EditArgs(t.Context(), b.client, ann, job, first.ID(), func(*work) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("edit that fails: %v", err)
	}
}

func TestAnEditThroughTheCodecMovesTheKeyOfALimit(t *testing.T) {
	b := newBench(t, nil)
	job := newJob("Mail")
	job.LimitKey = func(dst []byte, w *work) ([]byte, error) { return append(dst, w.Text...), nil }
	h := b.enqueue(job, work{Text: "a"})
	err := jobrt.EditArgs(t.Context(), b.client, jobrt.Actor{Name: "ann"}, job, h.ID(), func(w *work) error { w.Text = "b"; return nil })
	if got := b.info(h.ID()).LimitKey; err != nil || got != "b" {
		t.Errorf("the key is %q (%v), want b", got, err)
	}
}

func TestAnEditAsJSONDoesNotLoseSecrets(t *testing.T) {
	b := newBench(t, nil)
	h := b.enqueue(newJob("Mail"), work{N: 1, Text: "hunter2"})
	o := b.operator("")
	edit := func(to string) error {
		return o.EditArgs(t.Context(), h.ID(), func([]byte) ([]byte, error) { return []byte(to), nil })
	}
	for _, bad := range []string{`{"n":2,"text":"[secret]"}`, `[1]`, `null`, `{`, `{"text":"\u0000"}`} {
		if err := edit(bad); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if err := edit(`{"n":2,"text":"hunter2"}`); err != nil {
		t.Fatal(err)
	}
	if got := string(b.info(h.ID()).Args); got != `{"n":2,"text":"hunter2"}` {
		t.Errorf("args are %s", got)
	}
}
