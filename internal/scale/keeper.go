package scale

import (
	"fmt"
	"sync"

	"github.com/dqbridge/dqbridge/internal/watch"
)

// maxKept is the number of pools that a Keeper remembers.
const maxKept = 64

// A Keeper remembers the last Decision about each pool that is asked for. Of more than 64 pools it
// forgets the one that was not asked for the longest. It may be used by many goroutines.
type Keeper struct {
	mu    sync.Mutex
	asked uint64
	kept  map[string]kept
}

type kept struct {
	last  Decision
	asked uint64 // number of the question
}

// Decide returns how many workers a pool should have in a view, see the function Decide.
func (k *Keeper) Decide(v watch.View, o Options) Decision {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[string]kept{}
	}
	key := fmt.Sprintf("%#v", o)
	d := Decide(v, o, k.kept[key].last)
	k.asked++
	k.kept[key] = kept{d, k.asked}
	if len(k.kept) > maxKept {
		k.forget()
	}
	return d
}

// forget forgets the pool that was not asked for the longest.
func (k *Keeper) forget() {
	oldest, asked := "", k.asked
	for key, entry := range k.kept {
		if entry.asked < asked {
			oldest, asked = key, entry.asked
		}
	}
	delete(k.kept, oldest)
}
