package runner

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// count notes the positions of the items of a batch whose offsets have other numbers of items than
// one. Outside of the Runner, the items of such a call are known by their offsets.
func (c *Call) count(positions []int32) {
	c.items, c.positions = len(positions), positions
	if positions == nil {
		c.positions = []int32{}
	}
	if c.Progress != nil {
		c.Progress = &countedProgress{c.Progress, c}
	}
	if failed := c.Failed; failed != nil {
		c.Failed = func(i int, f batch.Failure) { failed(c.position(i), f) }
	}
	if unavailable := c.Unavailable; unavailable != nil {
		c.Unavailable = func(i int, why string) bool { return unavailable(c.position(i), why) }
	}
}

// position returns the index of the offset of the i-th item. Behind the last item, it is the number of
// offsets.
func (c *Call) position(i int) int {
	switch {
	case c.positions == nil:
		return i
	case i < len(c.positions):
		return int(c.positions[i])
	}
	return c.Batch.N
}

// endsOffset reports whether the i-th item is the last one of its offset.
func (c *Call) endsOffset(i int) bool {
	return c.positions == nil || i+1 >= len(c.positions) || c.positions[i] != c.positions[i+1]
}

// wholeOffsets returns how many of the first n items are those of whole offsets.
func (c *Call) wholeOffsets(n int) int {
	for n > 0 && !c.endsOffset(n-1) {
		n--
	}
	return n
}

// offset returns the offset of the i-th item.
func (c *Call) offset(i int) int64 { return c.Batch.First + int64(c.position(i)) }

// A countedProgress passes on the progress of a call whose items have positions.
type countedProgress struct {
	Progress
	call *Call
}

func (p *countedProgress) Follow(at Positioner) { p.Progress.Follow(countedPositioner{at, p.call}) }

func (p *countedProgress) Span(i, n int) {
	first := p.call.position(i)
	p.Progress.Span(first, p.call.position(i+n-1)-first+1)
}

func (p *countedProgress) Future(ctx context.Context, i int) context.Context {
	return p.Progress.Future(ctx, p.call.position(i))
}

// A countedPositioner tells the index of the offset of the current item.
type countedPositioner struct {
	Positioner
	call *Call
}

func (p countedPositioner) Position() int { return p.call.position(p.Positioner.Position()) }
