package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Stopped is the cause of a context that a signal has ended.
type Stopped struct{ Signal syscall.Signal }

// Error names the signal.
func (s Stopped) Error() string { return "stopped: " + s.Signal.String() }

// Status is the exit status.
func (s Stopped) Status() int { return 128 + int(s.Signal) }

// signals returns a context that ends with the first signal that asks for an
// end. It also keeps a closed stdout from killing the process, so that the
// write fails and there is time to clean up.
func (c Command) signals(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	got, pipe := make(chan os.Signal, 2), make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) { // as under nohup
			signal.Notify(got, s)
		}
	}
	signal.Notify(pipe, syscall.SIGPIPE)
	released, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		c.watch(got, released, cancel)
	}()
	return ctx, func() {
		signal.Stop(got)
		signal.Stop(pipe)
		close(released)
		<-ended
		cancel(nil)
	}
}

// once is for how long signals are one and the same: timeout(1) sends its signal
// to the process and then to the group of the process, and some shells do so.
const once = 200 * time.Millisecond

// watch ends the context at the first signal, and the process at the second or
// when the time of grace is over.
func (c Command) watch(got <-chan os.Signal, released <-chan struct{}, cancel context.CancelCauseFunc) {
	var status int
	var first time.Time
	var grace <-chan time.Time
	for {
		select {
		case s := <-got:
			if status != 0 {
				if time.Since(first) < once {
					continue
				}
				c.Exit(status)
				return
			}
			first = time.Now()
			stopped := Stopped{s.(syscall.Signal)}
			status = stopped.Status()
			cancel(stopped)
			if c.Grace > 0 {
				grace = time.After(c.Grace)
			}
		case <-grace:
			_, _ = fmt.Fprintf(c.App.ErrWriter, "%s: cleaning up takes too long: what is left goes by itself\n", c.App.Name)
			c.Exit(status)
			return
		case <-released:
			return
		}
	}
}
