package worker

import (
	"testing"
	"testing/synctest"
	"time"
)

// A time slice ends on time, at most half of one later, also if other slots begin theirs meanwhile.
// The clock stops while no slot works.
func TestATimeSliceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c sliceClock
		defer c.stop()
		for round := range 50 {
			begun, end := time.Now(), c.begin()
			for c.ticks.Load() < end {
				<-time.After(timeSlice / 20)
				if synctest.Wait(); round%2 == 1 && time.Since(begun) < timeSlice {
					c.begin()
				}
			}
			if took := time.Since(begun); took < timeSlice || took > timeSlice+timeSlice/2+timeSlice/20 {
				t.Fatalf("round %d: a spell took %v", round, took)
			}
			<-time.After(time.Duration(round) * timeSlice / 7)
		}
		<-time.After(2 * timeSlice)
		stood := c.ticks.Load()
		<-time.After(time.Hour)
		if synctest.Wait(); c.ticks.Load() != stood {
			t.Errorf("%d ticks while nobody worked", c.ticks.Load()-stood)
		}
	})
}
