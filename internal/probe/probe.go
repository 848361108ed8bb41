// Package probe lets the test kit observe a worker and kill it. A Probe travels in the context of
// Run; other programs have none.
package probe

import "context"

// A Probe holds functions that a worker calls.
type Probe struct {
	// Ran is called after each call of a function, with the number of its items, in the goroutine
	// of the slot.
	Ran func(items int)
	// Dying receives a function that ends the worker at once, as kill -9 would. It returns a
	// function that withdraws kill.
	Dying func(kill func()) (forget func())
}

type key struct{}

// With adds a Probe to the context of Run.
func With(ctx context.Context, p *Probe) context.Context { return context.WithValue(ctx, key{}, p) }

// From returns the Probe of a context, or nil.
func From(ctx context.Context) *Probe {
	p, _ := ctx.Value(key{}).(*Probe)
	return p
}
