package operate

import "context"

// A Holder is a function of a worker, with the number of other live workers that have it and are not
// drained.
type Holder struct {
	Function string
	Others   int
}

// Holders returns the functions of a worker, sorted by name, and how many other workers have each.
// ErrWorkerNotFound: no live worker has that id.
func (o *Operator) Holders(ctx context.Context, worker string) (holders []Holder, err error) {
	return nil, errNotYet
}

// Drain lets a worker finish the items that it has and take no more, until Undrain or its end. Its
// process goes on. Drain returns when the worker has said that it drains: that takes about a
// heartbeat, 2 s at the default lease. worker is its id. Errors: ErrWorkerNotFound, and
// ErrLastHolder if no other worker has one of its functions: see DrainLast.
func (o *Operator) Drain(ctx context.Context, worker string, act Act) (err error) {
	return errNotYet
}

// DrainLast is Drain, also if no other worker has a function of the worker. The items of that
// function wait then.
func (o *Operator) DrainLast(ctx context.Context, worker string, act Act) (err error) {
	return errNotYet
}

// Undrain lets a worker that drains take items again. It returns when the worker has said so.
// ErrWorkerNotFound: no live worker has that id.
func (o *Operator) Undrain(ctx context.Context, worker string, act Act) (err error) {
	return errNotYet
}
