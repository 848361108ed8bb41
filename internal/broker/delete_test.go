package broker_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// A limitedConn connection passes a number of requests. Its process dies with the next one.
type limitedConn struct {
	net.Conn
	left *int
	die  context.CancelFunc
}

func (m limitedConn) Write(request []byte) (int, error) {
	if *m.left--; *m.left < 0 {
		m.die()
		return 0, net.ErrClosed
	}
	return m.Conn.Write(request)
}

// A process may die at any request of a deletion. The queue is marked before the first key is
// deleted, and it stays listed until all its keys are deleted.
func TestDeletionSurvivesCrash(t *testing.T) {
	for at, died := 0, true; died; at++ {
		server := embedded.New()
		t.Cleanup(server.Close)
		c, err := server.Open("redis://127.0.0.1/", nil)
		c = opened(t, c, err)
		f := makeFlow(t, c, 0)
		scatterBatches(t, c, f, 2)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 2, large(2))}}))
		f.takeAll(t, c, "w1")
		died = deletedFor(t, server, at, func(ctx context.Context, c *broker.Client) error { return c.Delete(ctx, "a") })
		if there := c.Raw().Exists(t.Context(), c.Key("m:a")).Val() == 1; there {
			whole := c.Raw().XLen(t.Context(), c.Key("q:a")).Val() == 3 && c.Raw().HLen(t.Context(), c.Key("stages")).Val() == 1
			if marked := c.Raw().HExists(t.Context(), c.Key("m:a"), "dying").Val(); !marked && !whole {
				t.Errorf("died at request %d: a part is gone and nothing says so", at)
			}
		}
		again := c.Delete(t.Context(), "a")
		if errors.Is(again, broker.ErrQueueNotFound) {
			again = nil
		}
		if err := errors.Join(again, c.Delete(t.Context(), "b")); err != nil {
			t.Fatal(err)
		}
		if left := leftOf(t, c); len(left) != 0 {
			t.Errorf("died at request %d, left: %q", at, left)
		}
	}
}

// deletedFor deletes the queue a. The process dies if the deletion takes more than that many
// requests.
func deletedFor(t *testing.T, server *embedded.Server, requests int, delete func(context.Context, *broker.Client) error) (died bool) {
	t.Helper()
	ctx, die := context.WithCancel(t.Context())
	defer die()
	c, err := broker.Open("redis://127.0.0.1/", broker.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := server.Dial(ctx, network, addr)
		return limitedConn{conn, &requests, die}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = delete(ctx, c)
	if died = ctx.Err() != nil; !died && err != nil {
		t.Fatal(err)
	}
	return died
}

// A process dies while it deletes a queue of its own, or one that it has noted. The watcher
// finishes the deletion.
func TestDeletionOfDeadExecutorIsFinished(t *testing.T) {
	for owner, noted := range map[string]bool{"x1": false, "": true} {
		for at, died := 0, true; died; at++ {
			server := embedded.New()
			t.Cleanup(server.Close)
			c, err := server.Open("redis://127.0.0.1/", nil)
			c = opened(t, c, err)
			must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "a", Owner: owner})))
			died = deletedFor(t, server, at, func(ctx context.Context, c *broker.Client) error {
				if noted {
					return c.DeleteFor(ctx, "x1", "a")
				}
				return c.Delete(ctx, "a")
			})
			marked := c.Raw().HExists(t.Context(), c.Key("m:a"), "dying").Val()
			if err := c.DeleteOwned(t.Context(), "x1", must[[]string](t)(c.Owned(t.Context(), "x1"))); err != nil {
				t.Fatal(err)
			}
			there := c.Raw().Exists(t.Context(), c.Key("m:a")).Val() == 1
			if keep := noted && !marked; there && !keep {
				t.Errorf("owner %q, died at request %d: the queue is left", owner, at)
			}
			if queues := must[[]string](t)(c.Queues(t.Context())); !there && len(queues) > 0 {
				t.Errorf("owner %q, died at request %d: left in the list: %q", owner, at, queues)
			}
		}
	}
}
