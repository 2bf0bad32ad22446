package jobrt

import "testing"

// The success comes when the failures before it have been sent, and the store's answer has not come.
func TestASuccessEndsARowOfFailuresThatIsOnItsWayToTheBreaker(t *testing.T) {
	k := &kindBreaker{config: BreakerConfig{Failures: 3}, known: Breaker{Kind: "k", State: BreakerClosed}}
	b := &breakers{woken: make(chan struct{}, 1), kinds: map[string]*kindBreaker{"k": k}}
	fail := func() { b.failed("k", Ref{ID: NewID()}, "no") }
	fail()
	fail()
	sent, _ := b.unsent(k)
	b.ended("k", Ref{ID: NewID()}, VerdictSucceeded)
	k.learn(Breaker{Kind: "k", State: BreakerClosed, Failures: sent.Failures})
	k.sent = 0
	fail()
	if again, news := b.unsent(k); k.tripped || !news || !again.Succeeded || again.Failures != 1 {
		t.Errorf("reported %+v, tripped %v; want a success and one failure", again, k.tripped)
	}
}
