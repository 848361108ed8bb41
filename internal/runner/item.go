package runner

import "context"

// An Item is the identity of an item that a function runs on. workers.Item documents its fields.
type Item struct {
	Queue   string
	Source  string
	Offset  int64
	Attempt int
}

// A Locator returns the item that a call is at, if a function runs.
type Locator interface{ Item() (item Item, ok bool) }

type locatorKey struct{}

// WithLocator returns a context whose ItemFrom asks the locator.
func WithLocator(ctx context.Context, l Locator) context.Context {
	return context.WithValue(ctx, locatorKey{}, l)
}

// ItemFrom returns the item that the context of a function belongs to. ok is false for other contexts.
func ItemFrom(ctx context.Context) (item Item, ok bool) {
	if ctx == nil {
		return Item{}, false
	}
	l, ok := ctx.Value(locatorKey{}).(Locator)
	if !ok {
		return Item{}, false
	}
	return l.Item()
}

// A fixed locator is of one item.
type fixed Item

func (f fixed) Item() (Item, bool) { return Item(f), true }
