package workers

import (
	"testing"
	"testing/synctest"
	"time"
)

// A spell ends when it has passed, at most half of one later, also where others begin
// theirs meanwhile, and the clock stands when nobody works.
func TestASpellEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c clock
		defer c.stop()
		for round := range 50 {
			begun, end := time.Now(), c.spell()
			for c.ticks.Load() < end {
				<-time.After(spell / 20)
				if synctest.Wait(); round%2 == 1 && time.Since(begun) < spell {
					c.spell()
				}
			}
			if took := time.Since(begun); took < spell || took > spell+spell/2+spell/20 {
				t.Fatalf("round %d: a spell took %v", round, took)
			}
			<-time.After(time.Duration(round) * spell / 7)
		}
		<-time.After(2 * spell)
		stood := c.ticks.Load()
		<-time.After(time.Hour)
		if synctest.Wait(); c.ticks.Load() != stood {
			t.Errorf("%d ticks while nobody worked", c.ticks.Load()-stood)
		}
	})
}
