package executor

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// A flow that splits and joins many times has more ways through it than can be walked. Each of its
// queues is looked at once.
func TestFlowsThatSplitAndJoinAreWalkedOnce(t *testing.T) {
	const splits = 60
	looks := map[string]int{}
	f := flows{look: func(queue string, _ time.Duration) { looks[queue]++ }}
	ctx, cancel := context.WithCancel(t.Context())
	f.add(ctx, "joined 0", nil)
	for i := range splits {
		from := fmt.Sprint("joined ", i)
		left, right := fmt.Sprint("left ", i), fmt.Sprint("right ", i)
		f.add(t.Context(), left, nil, from)
		f.add(t.Context(), right, nil, from)
		f.add(t.Context(), fmt.Sprint("joined ", i+1), nil, left, right)
	}
	end := fmt.Sprint("joined ", splits)
	f.mu.Lock()
	alive := f.links[end].alive()
	f.changed(f.links["joined 0"])
	f.mu.Unlock()
	if !alive || len(looks) != 1 || looks[end] != 1 {
		t.Errorf("alive: %v, looks %v", alive, looks)
	}
	cancel()
	if gone := f.end(end, nil); len(gone) != 3*splits+1 {
		t.Errorf("%d queues end with the last one", len(gone))
	}
}
