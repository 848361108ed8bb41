package broker

import (
	"testing"
	"time"
)

// A difference that the time of the round trip explains is none.
func TestClockIsAheadByAtLeast(t *testing.T) {
	t.Parallel()
	from := time.Now()
	to := from.Add(time.Second)
	for other, want := range map[time.Duration]time.Duration{0: 0, 500 * time.Millisecond: 0, -time.Minute: time.Minute, time.Minute: -59 * time.Second} {
		if got := ahead(from, to, from.Add(other)); got != want {
			t.Errorf("a clock that is off by %v: %v, not %v", other, got, want)
		}
	}
}
