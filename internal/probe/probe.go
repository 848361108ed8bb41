// Package probe lets the test kit look into a worker and kill it. A Probe travels in the
// context of Run; programs have none.
package probe

import "context"

// A Probe is called by a worker.
type Probe struct {
	// Ran is called after each call of a function, with the number of its items, from the
	// goroutine of the slot.
	Ran func(items int)
	// Dying is given what ends the worker at once, as kill -9 would, and returns a function
	// that takes it back.
	Dying func(kill func()) (forget func())
}

type key struct{}

// With adds a Probe to the context of Run.
func With(ctx context.Context, p *Probe) context.Context { return context.WithValue(ctx, key{}, p) }

// From returns the Probe of a context, nil if it has none.
func From(ctx context.Context) *Probe {
	p, _ := ctx.Value(key{}).(*Probe)
	return p
}
