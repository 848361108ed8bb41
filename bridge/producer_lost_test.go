package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// behindProxy is an Executor whose network loses replies.
func behindProxy(t *testing.T) (*executor.Executor, *testkit.Proxy) {
	t.Helper()
	proxy := testkit.NewProxy(t, testkit.SharedRedis(t).Addr())
	return connect(t, proxy.URL()+"/?ns="+testkit.Namespace(t)), proxy
}

// scatters tells the calls that store values under a policy.
func scatters(policy bridge.OverflowPolicy) func(req []byte) bool {
	return func(req []byte) bool { return bytes.Contains(req, []byte("\r\n"+policy+"\r\n")) }
}

func TestSendWhoseReplyWasLostStoresTheValueOnce(t *testing.T) {
	ex, proxy := behindProxy(t)
	p := produces[int](t, ex, bridge.Overflow(bridge.OverflowBlock))
	lost := proxy.CutAfterRequest(scatters(bridge.OverflowBlock))
	if err := p.Send(t.Context(), 1); err != nil {
		t.Error(err)
	}
	<-lost
	if err := errors.Join(p.SendAll(t.Context(), []int{2, 3}), p.Close()); err != nil {
		t.Error(err)
	}
	want(t, values(t, p.Queue()), 1, 2, 3)
}

func TestSendWhoseReplyWasLostTellsThatTheValueWasDropped(t *testing.T) {
	ex, proxy := behindProxy(t)
	p := produces[int](t, ex, bridge.MaxSize(2), bridge.Overflow(bridge.OverflowDropNewest))
	if err := p.SendAll(t.Context(), []int{1, 2}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		lost := proxy.CutAfterRequest(scatters(bridge.OverflowDropNewest))
		if err := p.Send(t.Context(), 3+i); !errors.Is(err, executor.ErrDropped) {
			t.Errorf("%d was dropped, and its sender is told %v", 3+i, err)
		}
		<-lost
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if kept, dropped := gathered(t, p.Queue()); len(kept) != 2 || dropped != 2 {
		t.Errorf("%v are delivered, %d were dropped", kept, dropped)
	}
}

// The caller leaves while the request is on its way: the value is stored later.
func TestSendWhoseContextEndsDuringTheCall(t *testing.T) {
	ex, proxy := behindProxy(t)
	p := produces[int](t, ex, bridge.Overflow(bridge.OverflowBlock))
	arrived, passes, is := make(chan struct{}), make(chan struct{}), scatters(bridge.OverflowBlock)
	proxy.CutAfterRequest(func(req []byte) bool {
		if is(req) {
			close(arrived)
			<-passes
			is = func([]byte) bool { return false }
		}
		return false
	})
	ctx, leave := context.WithCancel(t.Context())
	sent := make(chan error, 1)
	go func() { sent <- p.Send(ctx, 1) }()
	<-arrived
	leave()
	if err := <-sent; !errors.Is(err, executor.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("the sender that left is told %v", err)
	}
	close(passes)
	if err := errors.Join(p.Send(t.Context(), 2), p.Close()); err != nil {
		t.Error(err)
	}
	want(t, values(t, p.Queue()), 1, 2)
}
