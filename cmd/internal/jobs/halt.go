package jobs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// A Halt says when a run ends early. The zero value never does.
type Halt struct {
	Now     bool   // kill the jobs that run
	Of      string // what is counted: "fail", "success" or "done"; empty: never
	Count   int64
	Percent int64 // of all jobs, in place of Count
	text    string
}

// String returns the text that was parsed.
func (h Halt) String() string { return h.text }

// halts are the short forms.
var halts = map[string]string{
	"0": "never", "1": "soon,fail=1", "2": "now,fail=1", "-1": "soon,success=1", "-2": "now,success=1",
}

// ParseHalt reads --halt: never, or now|soon,fail|success|done=N or N%, or a short form of GNU parallel.
func ParseHalt(text string) (Halt, error) {
	bad := fmt.Errorf("%q is not now|soon,fail|success|done=N or N%%, such as soon,fail=3 or now,fail=10%%", text)
	if long := halts[text]; long != "" {
		text = long
	}
	if text == "" || text == "never" {
		return Halt{}, nil
	}
	if !strings.Contains(text, ",") && strings.HasSuffix(text, "%") {
		text = "soon,fail=" + text
	}
	when, condition, _ := strings.Cut(text, ",")
	of, number, _ := strings.Cut(condition, "=")
	if when != "now" && when != "soon" || of != "fail" && of != "success" && of != "done" {
		return Halt{}, bad
	}
	number, percent := strings.CutSuffix(number, "%")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || percent && n > 100 {
		return Halt{}, bad
	}
	h := Halt{Now: when == "now", Of: of, text: text}
	if percent {
		h.Percent = n
	} else {
		h.Count = n
	}
	return h, nil
}

// counts are the jobs that have ended.
type counts struct{ done, failed int64 }

// limit is the number at which the run halts. total is the number of all jobs, which only a percentage needs.
func (h Halt) limit(total int64) float64 {
	if h.Percent > 0 {
		return float64(total*h.Percent) / 100
	}
	return float64(h.Count)
}

// reached reports whether the end of a job halts the run.
func (h Halt) reached(c counts, failed bool, total int64) bool {
	n := c.done
	switch {
	case h.Of == "fail" && failed:
		n = c.failed
	case h.Of == "success" && !failed:
		n = c.done - c.failed
	case h.Of != "done":
		return false
	}
	return float64(n) >= h.limit(total)
}

// status is the exit status of a run that this job has halted.
func (h Halt) status(c counts, exit, signal int, total int64) int {
	switch {
	case h.Of == "success":
		return 0
	case h.limit(total) == 1 && signal != 0:
		return 128 + signal
	case h.limit(total) == 1:
		return exit & 0xff
	case h.Percent > 0:
		return int(math.Ceil(float64(c.failed) / float64(max(1, total)) * 100))
	}
	return Status(c.failed)
}

// A Breaker counts what has ended, and halts a run. Its methods can be called from many goroutines.
type Breaker struct {
	Halt  Halt
	Total int64 // items, which only a Halt by percentage needs

	halted chan struct{}
	mu     sync.Mutex
	counts counts
	status int
}

// NewBreaker returns a Breaker.
func NewBreaker(h Halt, total int64) *Breaker {
	return &Breaker{Halt: h, Total: total, halted: make(chan struct{})}
}

// Halted returns a channel that is closed when nothing more starts.
func (b *Breaker) Halted() <-chan struct{} { return b.halted }

// IsHalted reports whether nothing more starts.
func (b *Breaker) IsHalted() bool {
	select {
	case <-b.halted:
		return true
	default:
		return false
	}
}

// Status returns the exit status of a run of commands that was halted.
func (b *Breaker) Status() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// Ended counts one that has ended, with its exit status and signal if it is a command. It reports whether that has
// halted the run.
func (b *Breaker) Ended(failed bool, exit, signal int) (halts bool) { //nolint:revive // it is counted
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.done++
	if failed {
		b.counts.failed++
	}
	if b.IsHalted() || !b.Halt.reached(b.counts, failed, b.Total) {
		return false
	}
	b.status = b.Halt.status(b.counts, exit, signal, b.Total)
	close(b.halted)
	return true
}

// StatusOther is the exit status if something other than jobs failed, and of a job whose command did not end.
const StatusOther = 255

// Status is the exit status for a number of failed jobs.
func Status(failed int64) int { return int(min(failed, 101)) }
