package jobrt

import (
	"slices"
	"testing"
	"time"
)

func TestStrictGivesEverythingToTheFirstQueueThatHasJobs(t *testing.T) {
	now := time.Now()
	c := newChooser(Strict("critical", "default", "low"), now)
	if got := c.allot(5, []bool{false, false, false}, now); !slices.Equal(got, []int{5, 0, 0}) {
		t.Errorf("allot = %v", got)
	}
	if got := c.allot(5, []bool{true, false, false}, now); !slices.Equal(got, []int{0, 5, 0}) {
		t.Errorf("allot with the first empty = %v", got)
	}
	if got := c.allot(5, []bool{true, true, true}, now); !slices.Equal(got, []int{0, 0, 0}) {
		t.Errorf("allot with all empty = %v", got)
	}
}

func TestWeightedKeepsTheProportions(t *testing.T) {
	now := time.Now()
	c := newChooser(Weighted(Share{"a", 6}, Share{"b", 3}, Share{"c", 1}), now)
	total := make([]int, 3)
	for range 1000 { // one slot at a time, as slots are freed
		for i, n := range c.allot(1, make([]bool, 3), now) {
			total[i] += n
			if n > 0 {
				c.claimed(i, n, n, now)
			}
		}
	}
	if !slices.Equal(total, []int{600, 300, 100}) {
		t.Errorf("slots = %v; want 600, 300, 100", total)
	}
}

func TestWeightedGivesAnIdleQueuesShareToTheOthers(t *testing.T) {
	now := time.Now()
	c := newChooser(Weighted(Share{"a", 6}, Share{"b", 3}), now)
	if got := c.allot(9, []bool{true, false}, now); !slices.Equal(got, []int{0, 9}) {
		t.Errorf("allot = %v", got)
	}
}

func TestAgeingServesASmallWeightInBoundedTime(t *testing.T) {
	now := time.Now()
	c := newChooser(Weighted(Share{"flood", 1000}, Share{"trickle", 1}), now)
	for second := range 600 {
		now = now.Add(time.Second)
		got := c.allot(1, make([]bool, 2), now)
		for i, n := range got {
			if n > 0 {
				c.claimed(i, n, n, now)
			}
		}
		if got[1] > 0 {
			if second > 200 {
				t.Errorf("served after %d s; without ageing it would be 1000", second)
			}
			return
		}
	}
	t.Error("the small weight starved for ten minutes")
}

func TestAnIdleQueueSavesUpNoCredit(t *testing.T) {
	now := time.Now()
	c := newChooser(Weighted(Share{"a", 1}, Share{"b", 1}), now)
	for range 100 { // b is asked and has nothing
		got := c.allot(2, make([]bool, 2), now)
		c.claimed(0, got[0], got[0], now)
		c.claimed(1, got[1], 0, now)
	}
	total := 0
	for range 10 {
		got := c.allot(1, make([]bool, 2), now)
		total += got[1]
		c.claimed(0, got[0], got[0], now)
		c.claimed(1, got[1], got[1], now)
	}
	if total > 6 {
		t.Errorf("b got %d of 10 slots after its idle time; want about half", total)
	}
}

func TestAQueueThatMayNotBeServedDoesNotAge(t *testing.T) {
	now := time.Now()
	c := newChooser(Weighted(Share{"paused", 1}, Share{"other", 1}), now)
	for range 600 {
		now = now.Add(time.Second)
		c.skip(0, now)
		c.allot(1, []bool{true, false}, now)
		c.claimed(1, 1, 1, now)
	}
	if got := c.allot(10, make([]bool, 2), now); got[0] > 6 {
		t.Errorf("allot = %v; want about half for a queue that was paused for ten minutes", got)
	}
}
