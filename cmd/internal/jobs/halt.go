package jobs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// A Halt is the condition for an early end of a run. The zero value has no condition.
type Halt struct {
	Now     bool   // kill the running jobs
	Of      string // the counted outcomes: "fail", "success" or "done"; empty: no condition
	Count   int64
	Percent int64 // of all jobs, in place of Count
	text    string
}

// String returns the text that was parsed.
func (h Halt) String() string { return h.text }

// shortForms are the short forms of GNU parallel.
var shortForms = map[string]string{
	"0": "never", "1": "soon,fail=1", "2": "now,fail=1", "-1": "soon,success=1", "-2": "now,success=1",
}

// ParseHalt parses the value of --halt: never, or now|soon,fail|success|done=N or N%, or a short
// form of GNU parallel.
func ParseHalt(text string) (Halt, error) {
	bad := fmt.Errorf("%q is not now|soon,fail|success|done=N or N%%, such as soon,fail=3 or now,fail=10%%", text)
	if long := shortForms[text]; long != "" {
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

// An End is the end of a job, or of an item of a function.
type End struct {
	Failed       bool
	Exit, Signal int // of a command
}

// counts counts ends.
type counts struct{ done, failed int64 }

// limit returns the count at which the run halts. total is the number of all jobs. Only a
// percentage needs it.
func (h Halt) limit(total int64) float64 {
	if h.Percent > 0 {
		return float64(total*h.Percent) / 100
	}
	return float64(h.Count)
}

// reached reports whether the last end, which c includes, halts the run.
func (h Halt) reached(c counts, last End, total int64) bool {
	n := c.done
	switch {
	case h.Of == "fail" && last.Failed:
		n = c.failed
	case h.Of == "success" && !last.Failed:
		n = c.done - c.failed
	case h.Of != "done":
		return false
	}
	return float64(n) >= h.limit(total)
}

// status returns the exit status of a run that the last end has halted.
func (h Halt) status(c counts, last End, total int64) int {
	switch {
	case h.Of == "success":
		return 0
	case h.limit(total) == 1 && last.Signal != 0:
		return 128 + last.Signal
	case h.limit(total) == 1:
		return last.Exit & 0xff
	case h.Percent > 0:
		return int(math.Ceil(float64(c.failed) / float64(max(1, total)) * 100))
	}
	return Status(c.failed)
}

// A Breaker counts ended items and halts the run when its Halt is reached. Its methods may be
// called concurrently.
type Breaker struct {
	Halt  Halt
	Total int64 // number of items; only a Halt by percentage needs it

	halted chan struct{}
	mu     sync.Mutex
	counts counts
	status int
}

// NewBreaker returns a Breaker.
func NewBreaker(h Halt, total int64) *Breaker {
	return &Breaker{Halt: h, Total: total, halted: make(chan struct{})}
}

// Halted returns a channel that is closed when the run is halted: no further item starts.
func (b *Breaker) Halted() <-chan struct{} { return b.halted }

// IsHalted reports whether the run is halted.
func (b *Breaker) IsHalted() bool {
	select {
	case <-b.halted:
		return true
	default:
		return false
	}
}

// Status returns the exit status of a halted run of commands.
func (b *Breaker) Status() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// Ended counts an end. It reports whether this end has halted the run.
func (b *Breaker) Ended(end End) (halts bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.done++
	if end.Failed {
		b.counts.failed++
	}
	if b.IsHalted() || !b.Halt.reached(b.counts, end, b.Total) {
		return false
	}
	b.status = b.Halt.status(b.counts, end, b.Total)
	close(b.halted)
	return true
}

// StatusOther is the exit status of a run that failed for another reason than its jobs, and of a
// job whose command did not run to its end.
const StatusOther = 255

// Status returns the exit status for a number of failed jobs.
func Status(failed int64) int { return int(min(failed, 101)) }
