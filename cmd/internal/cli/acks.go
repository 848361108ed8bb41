package cli

import (
	"errors"
	"iter"
	"sync"
)

// errNoAck is the error of a gather with --ack whose stdin ends too early.
var errNoAck = errors.New("stdin has ended before all written lines were acknowledged: the next gather delivers them again")

// Acks acknowledges results by lines of stdin. Each line acknowledges the first written result that
// is not acknowledged yet.
type Acks struct {
	policy ErrorPolicy // with Inline, failed items have lines too
	stop   func(error)

	mu      sync.Mutex
	waiting []Result // written, not acknowledged
	unused  int      // lines of stdin without a written result
	ended   bool     // stdin has ended
}

// ReadAcks reads lines in a goroutine, and does not wait for a read that does not return. It calls
// stop if the lines end before all written results are acknowledged.
func ReadAcks(lines iter.Seq2[[]byte, error], policy ErrorPolicy, stop func(error)) *Acks {
	a := &Acks{policy: policy, stop: stop}
	go func() {
		for _, err := range lines {
			if err != nil {
				break
			}
			a.acknowledge()
		}
		a.end()
	}()
	return a
}

// acknowledge acknowledges the first waiting result.
func (a *Acks) acknowledge() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.unused++
		return
	}
	a.waiting[0].Ack()
	a.waiting[0] = Result{}
	a.waiting = a.waiting[1:]
}

func (a *Acks) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	a.check()
}

// check calls stop if stdin has ended and results wait. The caller holds mu.
func (a *Acks) check() {
	if a.ended && len(a.waiting) > 0 {
		a.stop(errNoAck)
	}
}

// written takes results after their output was written. It acknowledges failed items without a line
// at once.
func (a *Acks) written(results []Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range results {
		switch {
		case r.Err != nil && a.policy != Inline:
			r.Ack()
		case a.unused > 0:
			a.unused--
			r.Ack()
		default:
			a.waiting = append(a.waiting, r)
		}
	}
	a.check()
}
