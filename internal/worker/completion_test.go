package worker

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestBackoffDoublesUpToTheLongest(t *testing.T) {
	for tried, want := range map[int]time.Duration{
		1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 5: 1600 * time.Millisecond, 20: 30 * time.Second, 1 << 40: 30 * time.Second,
	} {
		for range 100 {
			if got := backoff(broker.Stage{}, tried); got < want*3/4 || got > want*5/4 {
				t.Fatalf("after %d attempts %v, want about %v", tried, got, want)
			}
		}
	}
	if got := backoff(broker.Stage{Backoff: time.Hour, MaxBackoff: time.Second}, 1); got > 1250*time.Millisecond {
		t.Errorf("%v is longer than the longest", got)
	}
}
