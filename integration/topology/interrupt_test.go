package topology

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// interrupts ends a read that would block for a minute.
func interrupts(t *testing.T, url string) {
	t.Helper()
	c := must(broker.Open(url, broker.Options{}))(t)
	defer c.Close()
	if err := c.Connect(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := c.Join(t.Context(), broker.RoleWorker, "reader", nil); err != nil {
		t.Fatal(err)
	}
	reader := c.Reader("reader", time.Minute)
	ended := make(chan error)
	go func() {
		_, hints, err := reader.Read(t.Context(), nil, 1, time.Minute)
		if err == nil && len(hints) == 1 {
			_, _, err = reader.Read(t.Context(), nil, 1, time.Minute)
		}
		ended <- err
	}()
	if err := c.SendHint(t.Context(), "reader", broker.Hint{Kind: broker.HintRoom}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		t.Fatalf("the second read did not wait: %v", err)
	case <-time.After(50 * time.Millisecond): // the read blocks by now, or is about to
	}
	reader.Interrupt()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("a read that was interrupted has no error")
		}
	case <-time.After(30 * time.Second):
		t.Error("the read goes on")
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Leave(t.Context(), broker.RoleWorker, "reader"); err != nil {
		t.Error(err)
	}
}
