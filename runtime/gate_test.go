package jobrt

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestGateLetsASuspectRunOnlyWhenNothingElseDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		for range 2 {
			if !g.enter() {
				t.Fatal("an open gate refused a handler")
			}
		}
		g.announce()
		if g.enter() {
			t.Error("a handler started while a suspect waits")
		}
		in := make(chan bool)
		go func() { in <- g.enterAlone(time.Hour) == entered }()
		g.leave()
		synctest.Wait()
		select {
		case <-in:
			t.Fatal("the suspect started beside a running handler")
		default:
		}
		g.leave()
		if !<-in || g.count() != 1 {
			t.Error("the suspect did not start alone")
		}
		g.leaveAlone()
		if !g.open() || !g.enter() {
			t.Error("the gate stayed shut")
		}
	})
}

func TestGateSuspectsGiveUpWhenThePoolStops(t *testing.T) {
	g := newGate()
	g.enter()
	g.announce()
	g.close()
	if got := g.enterAlone(time.Hour); got != gateClosed {
		t.Errorf("a suspect got %v after the stop; want gateClosed", got)
	}
	if !g.open() {
		t.Error("a suspect that gave up holds others back")
	}
}
