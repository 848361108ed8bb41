package cli

import (
	"errors"
	"iter"
	"sync"
)

// errNoAck is the error of an output whose reader stops to acknowledge lines.
var errNoAck = errors.New("stdin has ended before all lines that were written were acknowledged: the next gather brings them again")

// Acks acknowledges results by the lines of stdin: each is for the first result that was written and is not acknowledged.
type Acks struct {
	inline bool // failed items have lines too
	stop   func(error)

	mu      sync.Mutex
	waiting []Result // written, not acknowledged
	ahead   int      // lines that came before a result was written
	ended   bool     // stdin
}

// ReadAcks reads lines in a goroutine, which is left behind in a read that does not return. It calls stop if they end
// before the results do.
func ReadAcks(lines iter.Seq2[[]byte, error], inline bool, stop func(error)) *Acks {
	a := &Acks{inline: inline, stop: stop}
	go func() {
		for _, err := range lines {
			if err != nil {
				break
			}
			a.line()
		}
		a.end()
	}()
	return a
}

func (a *Acks) line() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		a.ahead++
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

func (a *Acks) check() {
	if a.ended && len(a.waiting) > 0 {
		a.stop(errNoAck)
	}
}

// written takes results that were written. What has no line needs no acknowledgement by one.
func (a *Acks) written(results []Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range results {
		switch {
		case r.Err != nil && !a.inline:
			r.Ack()
		case a.ahead > 0:
			a.ahead--
			r.Ack()
		default:
			a.waiting = append(a.waiting, r)
		}
	}
	a.check()
}
