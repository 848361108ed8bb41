// Package ahead lets one goroutine take values ahead of the one that uses them, bounded by number and
// bytes. The first may block between two values: the other one has all that it has given.
package ahead

import (
	"slices"
	"sync"
)

// What may wait in a Buffer.
const (
	maxItems = 256
	maxBytes = 1 << 20
)

// A Buffer holds values that were given and not taken. One goroutine calls Give and End, another one
// waits for Some and calls Take and Close.
type Buffer[T any] struct {
	size func(T) int
	some chan struct{}
	room chan struct{} // rung when values were taken, and when no more are wanted

	mu     sync.Mutex
	values []T
	bytes  int
	closed bool
	ended  bool
	err    error
}

// New returns a Buffer for values whose size in bytes is about what size returns.
func New[T any](size func(T) int) *Buffer[T] {
	return &Buffer[T]{size: size, some: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// Give adds a value. It waits while there are 256 values or 1 MiB, and returns false once Close was called.
func (b *Buffer[T]) Give(v T) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && (len(b.values) >= maxItems || b.bytes >= maxBytes) {
		b.mu.Unlock()
		<-b.room
		b.mu.Lock()
	}
	if b.closed {
		return false
	}
	b.values, b.bytes = append(b.values, v), b.bytes+b.size(v)
	if len(b.values) == 1 {
		ring(b.some)
	}
	return true
}

// End says that no further value will be given, and why not: nil for their end.
func (b *Buffer[T]) End(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.err = true, err
	ring(b.some)
}

// Some has a token when there may be values, and when they have ended.
func (b *Buffer[T]) Some() <-chan struct{} { return b.some }

// Take returns the values that are there, and whether further ones may come. Memory of the values that it
// returned before may be used again.
func (b *Buffer[T]) Take(spent []T) (values []T, more bool, err error) {
	clear(spent)
	b.mu.Lock()
	defer b.mu.Unlock()
	values, b.bytes = b.values, 0
	b.values = slices.Grow(spent[:0], len(values))
	ring(b.room)
	return values, !b.ended, b.err
}

// Close says that no further value is wanted.
func (b *Buffer[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	ring(b.room)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
