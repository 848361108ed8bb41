package runner

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// maxRetryRuns limits the runs of adjacent items to retry in a Result, since each run becomes an
// entry.
const maxRetryRuns = 32

// An output collects the results of a batch, as values if the codec gives each value back
// unchanged, and otherwise in a frame. Its length is the index of the next item.
type output[Out any] struct {
	column[Out]
	name      string // of the function
	open      batch.Builder
	size      int // about the encoded bytes of the values
	retry     []int
	retryRuns int           // runs of adjacent items in retry
	pause     time.Duration // before the retry: the longest that an item asks for
	uncounted bool          // the items in retry go back at once, and no attempt of them counts
	failed    int
	cut       bool // it had enough bytes before the last item of an offset
}

// faithful reports whether the results are collected as values.
func (out *output[Out]) faithful() bool { return out.codec.Faithful() }

func (out *output[Out]) len() int {
	if out.faithful() {
		return len(out.values)
	}
	return out.open.Len()
}

// begin drops the last results and makes room for those of the next batch.
func (out *output[Out]) begin(c *Call) {
	b, n := &c.Batch, max(c.items, 1)
	out.clear()
	out.size, out.retry, out.retryRuns, out.pause, out.failed, out.uncounted, out.cut = 0, nil, 0, 0, 0, false, false
	if out.faithful() {
		out.values = slices.Grow(out.values, min(n, keptItems))
		return
	}
	item := cmp.Or(out.item, len(b.Frame)/n+1)
	out.open = batch.Builder{}
	out.open.Use(c.Memory.Get(min(item, batch.MaxBytes/n+1)*n + 64))
}

func (out *output[Out]) add(v Out, c *Call) {
	if out.faithful() {
		out.addValue(v, c)
		return
	}
	if out.codec.Sized() && out.codec.Size(v) <= batch.MaxItem {
		out.values = append(out.values[:0], v)
		out.codec.Fill(&out.open, out.values) // the size is known, so that the header is written once
		out.values[0] = *new(Out)
		return
	}
	buf := out.open.Begin()
	before := len(buf)
	buf, err := out.codec.Append(buf, v)
	size := len(buf) - before
	if err == nil && size <= batch.MaxItem {
		out.open.End(buf)
		return
	}
	out.open.Abort(buf)
	if err != nil {
		out.fail(out.unencodable(err), c.Attempt, c)
		return
	}
	out.fail(tooLarge(size), c.Attempt, c)
}

func (out *output[Out]) addValue(v Out, c *Call) {
	size := out.codec.Size(v)
	if size > batch.MaxItem {
		out.fail(tooLarge(size), c.Attempt, c)
		return
	}
	out.size += size
	out.values = append(out.values, v)
}

func tooLarge(size int) *attemptError {
	return &attemptError{code: batch.CodeTooLarge, text: fmt.Sprintf("the result has %d bytes, which is above the bound of %d MiB: "+
		"return it in parts, or store it and return where", size, batch.MaxItem>>20)}
}

func (out *output[Out]) unencodable(why error) *attemptError {
	text, stack := batch.Describe(why)
	return &attemptError{code: batch.CodeEncode, stack: stack, text: fmt.Sprintf("the result cannot be encoded as %s: "+
		"return what the codec can hold, or define the function with another: %s", out.codec.Info(), text)}
}

// failOrRetry adds a failure for good, or a placeholder if another attempt follows.
func (out *output[Out]) failOrRetry(m *attemptError, c *Call) {
	if m.permanent || c.Attempt > c.Retries || m.code == batch.CodeEncode {
		out.fail(m, c.Attempt, c)
		return
	}
	out.failure(m, c.Attempt, c)
	out.pause = max(out.pause, m.pause)
	out.placeholder()
}

// putBack adds a placeholder for an item that goes back to its queue. All retries of the result count
// no attempt then.
func (out *output[Out]) putBack() {
	out.uncounted = true
	out.placeholder()
}

// placeholder adds an output for an item that another attempt follows.
func (out *output[Out]) placeholder() {
	if n := len(out.retry); n == 0 || out.retry[n-1] < out.len()-1 {
		out.retryRuns++
	}
	out.retry = append(out.retry, out.len())
	if out.faithful() {
		var none Out
		out.values = append(out.values, none)
		return
	}
	out.open.Value(nil)
}

func (out *output[Out]) fail(m *attemptError, tries int, c *Call) {
	out.failed++
	out.addFailure(out.failure(m, tries, c).Append(nil))
}

// failure returns the failure of the next item, and passes it to Call.Failed.
func (out *output[Out]) failure(m *attemptError, tries int, c *Call) batch.Failure {
	f := batch.Failure{
		Code: m.code, Message: m.text, Stage: c.Stage, Function: out.name, Worker: c.Worker, Attempts: tries, Stack: m.stack,
	}
	if c.Failed != nil {
		c.Failed(out.len(), f)
	}
	return f
}

func (out *output[Out]) passOn(h failedItem, c *Call) {
	if h.failure == nil {
		out.fail(h.err, 0, c)
		return
	}
	out.addFailure(h.failure)
}

// addFailure adds an encoded failure.
func (out *output[Out]) addFailure(failed []byte) {
	if !out.faithful() {
		out.open.EndFailure(append(out.open.Begin(), failed...))
		return
	}
	var none Out
	out.failures = append(out.failures, failedItem{index: len(out.values), failure: failed})
	out.values = append(out.values, none)
	out.size += len(failed)
}

// failedBatch returns the result of a batch whose items are all the same failure.
func (out *output[Out]) failedBatch(b batch.Batch) Result {
	if err := b.Check(); err != nil {
		return Result{Err: err}
	}
	var frame batch.Builder
	failed := b.Lost.Append(nil)
	for frame.Len() < b.N && frame.Size() < batch.MaxBytes {
		frame.EndFailure(append(frame.Begin(), failed...))
	}
	return Result{N: frame.Len(), Items: frame.Len(), Frame: frame.Take()}
}

// full reports whether the result has enough bytes or runs of retries: the remaining items become
// an entry of their own.
func (out *output[Out]) full() bool {
	return max(out.size, out.open.Size()) >= batch.MaxBytes || out.retryRuns >= maxRetryRuns
}

// truncate drops the items from an index on.
func (out *output[Out]) truncate(n int) {
	out.failed = min(out.failed, n)
	k, _ := slices.BinarySearch(out.retry, n)
	if out.retry = out.retry[:k]; out.faithful() {
		out.column.truncate(n)
		return
	}
	frame := out.open.Take()
	r := batch.Read(frame)
	for range n {
		r.Next()
	}
	out.open.Reuse(frame[:len(frame)-len(r.Rest())], n)
}

// result returns the result. It copies a frame that fills less than half of its memory.
func (out *output[Out]) result(spent time.Duration, c *Call) Result {
	n := out.len()
	if whole := c.wholeOffsets(n); whole < n { // the items of an offset stay together
		out.truncate(whole)
		n = whole
	}
	r := Result{N: n, Items: n, Again: out.retry, Pause: out.pause, Back: out.uncounted, Failed: out.failed, Spent: spent}
	if c.positions != nil {
		out.count(&r, c)
		r.Large = n == 0 && out.cut
	}
	switch {
	case r.N == 0:
		return r
	case out.faithful() && c.Hold:
		r.Held = &out.column
		return r
	case out.faithful():
		r.Frame = out.Encode(0, r.N, c.Memory)
		return r
	}
	frame := out.open.Take()
	out.item = len(frame)/max(n, 1) + 1
	if r.Frame = fitted(frame, c.Memory); out.counted {
		r.Frame = batch.AppendCounts(r.Frame, out.positions, 0, out.offsets)
	}
	return r
}

// fitted returns a frame, or a copy of one that fills less than half of its memory.
func fitted(frame []byte, memory *batch.Memory) []byte {
	if cap(frame) <= 2*len(frame)+1024 {
		return frame
	}
	defer memory.Put(frame)
	return slices.Clone(frame)
}

// count gives a result, whose numbers are those of items, the numbers of offsets.
func (out *output[Out]) count(r *Result, c *Call) {
	r.N = c.position(r.Items)
	for k, i := range r.Again {
		r.Again[k] = c.position(i)
	}
	out.counted, out.positions, out.offsets = true, c.positions[:r.Items], r.N
}
