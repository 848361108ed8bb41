package workers

import "time"

// calls is what calls of a batch function cost, as a line through the recent ones:
// what a call costs by itself, such as the start of a process, and what each item
// adds. Without it a function whose call takes longer than a spell would get one
// item at a time for ever, however little an item adds.
type calls struct {
	// Sums over calls, of which older ones count less: calls, items, ns.
	count, items, squares, spent, products float64
	// The line, in ns; item is 0 as long as all calls have been of one size.
	start, item float64
}

const (
	// fade is how much a call counts after the next one.
	fade = 0.9
	// spread is the relative variance of the sizes from which on a line can be laid.
	spread = 0.01
	// aim is how much work a batch is cut to where items enter.
	aim = 8 * time.Millisecond
	// patience is how long a call of unknown make-up may take for a larger one to be tried.
	patience = 200 * time.Millisecond
	// growth is how much larger than the recent calls the next ones may be.
	growth = 4
)

func (c *calls) learn(spent time.Duration, items int) {
	n, ns := float64(items), float64(spent)
	for _, sum := range []*float64{&c.count, &c.items, &c.squares, &c.spent, &c.products} {
		*sum *= fade
	}
	c.count, c.items, c.squares = c.count+1, c.items+n, c.squares+n*n
	c.spent, c.products = c.spent+ns, c.products+n*ns
	width := c.count*c.squares - c.items*c.items
	switch {
	case width > spread*c.items*c.items:
		slope := (c.count*c.products - c.items*c.spent) / width
		c.item = min(max(slope, 1), c.spent/c.items)
		c.start = (c.spent - c.item*c.items) / c.count
	case c.item > 0: // as it was, but for how fast all is
		now := c.spent / (c.start*c.count + c.item*c.items)
		c.start, c.item = c.start*now, c.item*now
	}
}

// cost is that of an item, as it makes batches of the size that is wanted: as much
// work as others, or so many items that the start of the call is a third of it; 0 if
// it is not known.
func (c *calls) cost() time.Duration {
	if c.count == 0 {
		return 0
	}
	size, call := c.items/c.count, c.spent/c.count
	want := 2 * size
	switch {
	case c.item > 0:
		want = min(max(float64(aim), 2*c.start)/c.item, growth*size)
	case call > float64(patience):
		return time.Duration(call / size)
	}
	return time.Duration(max(1, float64(aim)/want))
}
