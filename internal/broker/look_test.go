package broker_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// A thousand queues take two round trips, or four if the server does not know the script yet.
func TestContentsReadsManyQueuesAtOnce(t *testing.T) {
	server := embedded.New()
	t.Cleanup(server.Close)
	var trips roundTrips
	c, err := broker.Open("redis://127.0.0.1/", broker.Options{Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := server.Dial(ctx, network, addr)
		return tripConn{conn, &trips}, err
	}})
	opened(t, c, err)
	var names []string
	for i := range 1010 {
		names = append(names, must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i), Seal: i == 1003}))).Name)
	}
	for range 2 {
		trips = 0
		found := must[[]broker.Contents](t)(c.Contents(t.Context(), names))
		if len(found) != 1010 || found[1003].Queue.Name != "q1003" || !found[1003].Queue.Seal || found[1004].Queue.Seal {
			t.Fatalf("found %d queues, %+v", len(found), found[1003])
		}
	}
	if trips > 4 {
		t.Errorf("the second time took %d writes", trips)
	}
}

// roundTrips counts the writes of a client that waits for the reply of each.
type roundTrips int

type tripConn struct {
	net.Conn
	trips *roundTrips
}

func (c tripConn) Write(p []byte) (int, error) {
	*c.trips++
	return c.Conn.Write(p)
}

func TestContentsCountsAtLeastTheEntries(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		var parcels []broker.Parcel
		for i := range int64(700) {
			parcels = append(parcels, broker.Parcel{Batch: framed("s1", 2*i, "a", "b")})
		}
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, parcels))
		if taken := f.takeAll(t, c, "w1"); len(taken) == 0 {
			t.Fatal("nothing was taken")
		}
		a := must[[]broker.Contents](t)(c.Contents(t.Context(), []string{"a"}))[0]
		for a.Waiting > 0 {
			f.takeAll(t, c, "w1")
			a = must[[]broker.Contents](t)(c.Contents(t.Context(), []string{"a"}))[0]
		}
		if a.Entries != 700 || !a.AtLeast || a.Running != 500*2+200 {
			t.Errorf("700 entries of two items: %d entries, at least %v, %d items", a.Entries, a.AtLeast, a.Running)
		}
	})
}

// A key of another type breaks one queue, and not the list of all.
func TestContentsReportsBrokenQueues(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		for _, name := range []string{"a", "b", "c", "d"} {
			must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: name})))
		}
		c.Raw().Set(t.Context(), c.Key("l:b"), "text", 0)
		if err := c.Raw().XGroupDestroy(t.Context(), c.Key("r:c"), "w").Err(); err != nil {
			t.Fatal(err)
		}
		found := must[[]broker.Contents](t)(c.Contents(t.Context(), []string{"a", "b", "none", "c", "d"}))
		if len(found) != 4 || found[0].Broken != "" || found[3].Broken != "" || found[3].Queue.Name != "d" {
			t.Fatalf("found %+v", found)
		}
		if b := found[1].Broken; !strings.Contains(b, "WRONGTYPE") {
			t.Errorf("b: %q", b)
		}
		if b := found[2].Broken; !strings.Contains(b, "NOGROUP") {
			t.Errorf("c: %q", b)
		}
	})
}

// The sources of many queues are read in pages, in the order of the queues.
func TestSourcesAreReadInPages(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		var queues []string
		for i := range 3 {
			q := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: fmt.Sprint("q", i)})))
			queues = append(queues, q.Name)
			for n := range 400 {
				s, _, err := c.Source(t.Context(), fmt.Sprint("s", i, "-", n), q, 0)
				if err == nil && n == 399 {
					err = c.Finish(t.Context(), s, 0)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		found := must[[]broker.SourceState](t)(c.Sources(t.Context(), append(queues, "none")))
		if len(found) != 1200 {
			t.Fatalf("found %d sources", len(found))
		}
		for i, s := range found {
			if want := i / 400; s.Queue != queues[want] || (s.End == 0) != (i%400 == 399) || s.Delivered != -1 || s.Full || s.Window {
				t.Fatalf("source %d is %+v", i, s)
			}
		}
	})
}
