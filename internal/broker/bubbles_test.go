package broker_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// In tests in virtual time, calls of a server in the process do not wait for a connection: go-redis would pass
// the timer of the wait from one test to the next, which ends the process.
func TestCallsOfEachBubbleWaitForNoConnection(t *testing.T) {
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for range 4 {
		synctest.Test(t, func(t *testing.T) {
			c, err := broker.Open("redis://embedded", broker.Options{Dialer: hang, InProcess: true})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var calls errgroup.Group
			for range 100 {
				calls.Go(func() error {
					_, _, err := c.SourceOf(ctx, "none")
					return err
				})
			}
			if err := calls.Wait(); err == nil {
				t.Error("a call without a server returned")
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			<-time.After(10 * time.Second) // dials of go-redis end on their own
		})
	}
}
