package jobrt

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewIDsAreDistinctSortedAndCarryTheTime(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	made := make([]ID, 1000)
	for i := range made {
		made[i] = NewID()
	}
	after := time.Now()
	if !slices.IsSortedFunc(made, func(a, b ID) int { return strings.Compare(a.String(), b.String()) }) {
		t.Error("ids made one after the other do not sort by time")
	}
	if n := len(slices.Compact(slices.Clone(made))); n != len(made) {
		t.Errorf("%d distinct ids of %d", n, len(made))
	}
	for _, id := range made {
		if at := id.Time(); at.Before(before) || at.After(after) {
			t.Fatalf("id %s carries %v, made between %v and %v", id, at, before, after)
		}
	}
}

func TestNewIDIsSafeForConcurrentUse(t *testing.T) {
	var mu sync.Mutex
	seen := map[ID]bool{}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				id := NewID()
				mu.Lock()
				if seen[id] {
					t.Errorf("id %s made twice", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

func TestAnIDSurvivesItsForms(t *testing.T) {
	want := NewID()
	parsed, err := ParseID(want.String())
	if err != nil || parsed != want {
		t.Errorf("ParseID: %v, %v", parsed, err)
	}
	upper, err := ParseID(strings.ToUpper(want.String()))
	if err != nil || upper != want {
		t.Errorf("ParseID in upper case: %v, %v", upper, err)
	}
	data, err := json.Marshal(map[ID]ID{want: want})
	if err != nil {
		t.Fatal(err)
	}
	var got map[ID]ID
	if err := json.Unmarshal(data, &got); err != nil || got[want] != want {
		t.Errorf("JSON %s: %v, %v", data, got, err)
	}
	stored, err := want.Value()
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []any{stored, []byte(want.String()), want[:], [16]byte(want)} {
		var id ID
		if err := id.Scan(src); err != nil || id != want {
			t.Errorf("Scan(%T): %v, %v", src, id, err)
		}
	}
}

func TestABadIDIsRefusedWithItsText(t *testing.T) {
	for _, text := range []string{
		"", "x", "42", "{0198c5d2-6b1e-7c3a-9f00-5d0a1b2c3d4e}", "urn:uuid:0198c5d2-6b1e-7c3a-9f00-5d0a1b2c3d4e",
		"0198c5d26b1e7c3a9f005d0a1b2c3d4e", "0198c5d2-6b1e-7c3a-9f00-5d0a1b2c3d4g", "0198c5d2_6b1e_7c3a_9f00_5d0a1b2c3d4e",
	} {
		id, err := ParseID(text)
		if err == nil || !id.IsZero() {
			t.Errorf("ParseID(%q) = %v, %v; want an error", text, id, err)
		} else if !strings.Contains(err.Error(), `"`+text+`"`) || strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseID(%q): error %q", text, err)
		}
	}
	if _, err := ParseID(strings.Repeat("9", 1<<20)); len(err.Error()) > 300 {
		t.Errorf("the error for a text of 1 MiB has %d bytes", len(err.Error()))
	}
	var id ID
	for _, src := range []any{nil, 7, "x", []byte("x")} {
		if err := id.Scan(src); err == nil {
			t.Errorf("Scan(%#v) succeeded", src)
		}
	}
}

func TestAnIDOfAnotherVersionHasNoTime(t *testing.T) {
	id, err := ParseID("f81d4fae-7dec-41d0-a765-00a0c91e6bf6")
	if err != nil || !id.Time().IsZero() {
		t.Errorf("%v, %v", id.Time(), err)
	}
	id, err = ParseID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f") // the example of RFC 9562, appendix A.6
	want := time.Date(2022, 2, 22, 19, 22, 22, 0, time.UTC)
	if diff := cmp.Diff(want, id.Time().UTC()); err != nil || diff != "" {
		t.Errorf("%v, time differs (-want +got):\n%s", err, diff)
	}
}
