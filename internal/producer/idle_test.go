package producer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// A sender that waits for room asks once a second, in case the hint was lost. It does not resend the
// batches that have no room.
func TestASenderThatWaitsCostsALookASecond(t *testing.T) {
	for name, window := range map[string]broker.Window{"queue": {}, "window": {Items: 4}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := embedded.New()
				t.Cleanup(server.Close)
				w, m := brokertest.Metered(t, server)
				c, q := w.C, w.Queue(t, broker.Queue{Name: "q", Bounds: broker.Bounds{Max: 8}})
				source, _, err := c.Source(t.Context(), "s", q, 1)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				sent := make(chan error, 1)
				go func() { sent <- NewSender(c, source, "x", nil, window).Send(ctx, brokertest.Texts(64, 1500)) }()
				<-time.After(time.Minute)
				synctest.Wait()
				requests, bytes := m.Requests.Load(), m.Bytes.Load()
				<-time.After(time.Minute)
				synctest.Wait()
				requests, bytes = m.Requests.Load()-requests, m.Bytes.Load()-bytes
				if requests < 59 || requests > 61 || bytes > requests*3000 {
					t.Errorf("%d requests of %d bytes in a minute", requests, bytes)
				}
				cancel()
				if err := <-sent; !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		})
	}
}
