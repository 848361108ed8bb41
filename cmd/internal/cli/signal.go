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

// signals returns a context that ends at the first SIGINT, SIGTERM or SIGHUP. It also catches
// SIGPIPE, so that a write to a closed stdout fails and the command can clean up.
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

// repeatTime is the time in which further signals count as the first one: timeout(1) and some
// shells send a signal to the process and to its group.
const repeatTime = 200 * time.Millisecond

// watch ends the context at the first signal. It ends the process at the second one and after
// Grace.
func (c Command) watch(got <-chan os.Signal, released <-chan struct{}, cancel context.CancelCauseFunc) {
	var status int
	var first time.Time
	var grace <-chan time.Time
	for {
		select {
		case s := <-got:
			if s == syscall.SIGHUP && c.Hangup != nil && c.Hangup() {
				continue
			}
			if status != 0 {
				if time.Since(first) < repeatTime {
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
			_, _ = fmt.Fprintf(c.App.ErrWriter, "%s: the cleanup takes longer than %v: exit; the queues are deleted some minutes later\n", c.App.Name, c.Grace)
			c.Exit(status)
			return
		case <-released:
			return
		}
	}
}
