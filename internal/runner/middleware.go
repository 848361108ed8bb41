package runner

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A Handler runs one call of a function: the function itself, or a middleware around it.
type Handler func(ctx context.Context, in Invocation) error

// A Middleware returns the Handler around another one, or an error if it has none.
type Middleware func(next Handler) (Handler, error)

// An Invocation describes a call of a function to its middleware.
type Invocation struct {
	Item     Item // the first one of a batch
	Stage    string
	Function string
	Items    int  // number of items
	Whole    bool // the function takes batches
	Ticket   Ticket
}

// A Ticket is the right to call the function of an Invocation once.
type Ticket struct {
	call interface {
		proceed(context.Context, uint64) error
	}
	number uint64
}

// Chain returns the Handler that runs all middleware around the function, the first one outermost.
// It returns nil if there is no middleware.
func Chain(all []Middleware) (Handler, error) {
	if len(all) == 0 {
		return nil, nil
	}
	outermost := Handler(proceed)
	for i := len(all) - 1; i >= 0; i-- {
		var err error
		if outermost, err = all[i](outermost); err != nil {
			return nil, err
		}
	}
	return outermost, nil
}

// A misuse is the error of a middleware that breaks a rule of workers.Handler.
type misuse string

func (m misuse) Error() string { return string(m) }

const (
	errNotCalled misuse = "a middleware returned nil and did not call next, so the item has no result: return an error, or the error of next"
	errTwice     misuse = "a middleware called next twice for one call: the function runs once an attempt; use executor.Retries for further attempts"
	errEarly     misuse = "a middleware returned nil before next had returned: wait for next, and return its error"
	errLate      misuse = "a middleware called next after its own return: the call has ended, and the function does not run"
	errNoCall    misuse = "a middleware passed next a Call that it made itself: pass the Call that the Handler got"
	errNoContext misuse = "a middleware passed next a nil context: pass the context that the Handler got, or one derived from it"
	errRecovered misuse = "a middleware recovered a panic of the function and returned nil, so the item has no result: return an error"
)

// proceed is the innermost Handler. It calls the function.
func proceed(ctx context.Context, in Invocation) error {
	if in.Ticket.call == nil {
		return errNoCall
	}
	return in.Ticket.call.proceed(ctx, in.Ticket.number)
}

// A phase is the progress of the function in a passage.
type phase int

const (
	waiting  phase = iota // next was not called
	running               // next was called and has not returned
	returned              // the function has returned, panicked or ended its goroutine
)

// A passage takes a call of a function through its middleware: it passes the input by the untyped
// Handlers, and the output back. It serves one call after another. Each call has another number, so
// that a Handler of an earlier call, perhaps in another goroutine, cannot affect a later one.
type passage[In, Out any] struct {
	f       func(context.Context, In) (Out, error)
	around  func(context.Context, In) (Out, error) // calls f with its middleware
	handler Handler
	about   Invocation
	in      In

	mu     sync.Mutex
	number uint64
	phase  phase
	twice  bool          // next was called again
	early  bool          // the Handler returned before the function
	ended  chan struct{} // closed when phase becomes returned; nil: no goroutine waits
	out    Out
	err    error // that an item keeps if the Handler returns nil for it
}

// passages keeps an idle passage for the next call of a Runner. A call that is left behind keeps its
// own, and one that panics drops it.
type passages[In, Out any] struct {
	idle atomic.Pointer[passage[In, Out]]
}

// around returns a function that calls f with its middleware, once.
func (ps *passages[In, Out]) around(f func(context.Context, In) (Out, error), handler Handler, about Invocation) func(context.Context, In) (Out, error) {
	p := ps.idle.Swap(nil)
	if p == nil {
		p = &passage[In, Out]{f: f}
		p.around = func(ctx context.Context, in In) (Out, error) {
			out, err := p.run(ctx, in)
			ps.idle.Store(p)
			return out, err
		}
	}
	p.handler, p.about = handler, about
	p.about.Ticket = Ticket{call: p, number: p.number}
	return p.around
}

// run calls the Handler. It returns when both the Handler and the function have returned.
func (p *passage[In, Out]) run(ctx context.Context, in In) (out Out, err error) {
	p.in = in
	complete := false
	defer func() {
		if !complete { // a panic or runtime.Goexit
			_, _, _ = p.end()
		}
	}()
	err = enter(ctx, p.handler, p.about)
	complete = true
	out, kept, twice := p.end()
	if twice {
		return out, errTwice
	}
	return out, verdict(err, kept, p.about.Items)
}

// enter calls a Handler. Its name on the stack marks the goroutine of a call, see inCall.
//
//go:noinline
func enter(ctx context.Context, h Handler, in Invocation) error { return h(ctx, in) }

// end waits until the function has returned, if it runs, and ends the call. It returns the output
// of the function, the error of the call if the Handler returns nil, and whether next was called
// twice.
func (p *passage[In, Out]) end() (out Out, kept error, twice bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == running {
		p.early, p.ended = true, make(chan struct{})
		p.mu.Unlock()
		<-p.ended
		p.mu.Lock()
	}
	out, kept, twice = p.out, p.err, p.twice
	switch {
	case p.phase == waiting:
		kept = errNotCalled
	case p.early && kept == nil:
		kept = errEarly
	}
	var noIn In
	var noOut Out
	p.in, p.out, p.err, p.ended = noIn, noOut, nil, nil
	p.phase, p.twice, p.early = waiting, false, false
	p.number++
	return out, kept, twice
}

// proceed calls the function. A panic and runtime.Goexit go on to the middleware if it runs in the
// goroutine of the call. In any other goroutine no caller would stop a panic: it becomes an error.
func (p *passage[In, Out]) proceed(ctx context.Context, number uint64) (err error) {
	if err := p.begin(ctx, number); err != nil {
		return err
	}
	complete := false
	defer func() {
		if complete {
			return
		}
		var none Out
		if inCall() {
			p.store(none, errRecovered)
			return
		}
		crash := &attemptError{code: batch.CodePanic, text: goexitText}
		if r := recover(); r != nil {
			crash.text, crash.stack = "panic: "+batch.Text(r), batch.Stack(debug.Stack())
		}
		err = &crashError{crash}
		p.store(none, err)
	}()
	out, err := p.f(ctx, p.in)
	complete = true
	if some, ok := errors.AsType[Failed](err); ok && some.count() == 0 {
		err = nil
	}
	p.store(out, err)
	return err
}

// begin records that next was called. It returns an error if the function must not run.
func (p *passage[In, Out]) begin(ctx context.Context, number uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case number != p.number:
		return errLate
	case p.phase != waiting:
		p.twice = true
		return errTwice
	case ctx == nil:
		return errNoContext
	}
	p.phase = running
	return nil
}

// store records that the function has returned.
func (p *passage[In, Out]) store(out Out, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase, p.out, p.err = returned, out, err
	if p.ended != nil {
		close(p.ended)
	}
}

// inCall reports whether the goroutine is that of a call, whose Runner stops a panic.
func inCall() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		if n == 0 {
			return false
		}
		for frames := runtime.CallersFrames(pcs[:n]); ; {
			frame, more := frames.Next()
			if strings.HasSuffix(frame.Function, "internal/runner.enter") {
				return true
			}
			if !more {
				break
			}
		}
	}
}

// verdict returns the error of a call of n items whose Handler has returned err. kept is the error of
// the function, or the reason why it has no result. It stays if err is nil, and for the items that
// err does not name if err is a Failed.
func verdict(err, kept error, n int) error {
	some, ofItems := errors.AsType[Failed](err)
	own, each := errors.AsType[Failed](kept)
	switch {
	case kept == nil, err != nil && !ofItems:
		return err
	case !each && some.count() == 0:
		return ignored(kept)
	case !each:
		own = Failed{}
		for i := range n {
			own[i] = kept
		}
	}
	all := Failed{}
	for i, why := range own {
		if why != nil {
			all[i] = ignored(why)
		}
	}
	for i, why := range some {
		if why != nil {
			all[i] = why
		}
	}
	return all
}

// ignored returns the error of an item whose middleware returned nil, although the function has not
// succeeded.
func ignored(why error) error {
	if _, ok := errors.AsType[misuse](why); ok {
		return why
	}
	return fmt.Errorf("a middleware returned nil for an error of the function, so the item has no result: %w", why)
}
