package bridge_test

import (
	"context"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
)

func channel[T any](values ...T) <-chan T {
	ch := make(chan T, len(values))
	for _, v := range values {
		ch <- v
	}
	close(ch)
	return ch
}

func drained(ch <-chan int) (got []int) {
	for v := range ch {
		got = append(got, v)
	}
	return got
}

func TestLocalMultiplex(t *testing.T) {
	for _, ch := range bridge.Multiplex(t.Context(), 3, channel(1, 2, 3), 3) {
		want(t, drained(ch), 1, 2, 3)
	}
	if chs := bridge.Multiplex(t.Context(), 0, channel[int](), 1); chs != nil {
		t.Errorf("%d channels", len(chs))
	}
}

func TestLocalMergeAndPush(t *testing.T) {
	got := drained(bridge.Merge(t.Context(), channel(1, 2, 3), channel(10, 20), channel[int]()))
	inOrder(t, got, 1, 2, 3)
	inOrder(t, got, 10, 20)
	slices.Sort(got)
	want(t, got, 1, 2, 3, 10, 20)
	to := make(chan int, 2)
	bridge.Push(t.Context(), channel(1, 2), to)
	if len(to) != 2 {
		t.Errorf("%d were pushed", len(to))
	}
}

func TestLocalChannelsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	never := make(chan int)
	outs := bridge.Multiplex(ctx, 2, never, 0)
	merged := bridge.Merge(ctx, never, channel[int]())
	cancel()
	bridge.Push(ctx, never, make(chan int))
	for _, ch := range append(outs, merged) {
		want(t, drained(ch))
	}
}
