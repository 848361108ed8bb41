// Package ahead buffers values between a producing and a consuming goroutine, bounded by number and
// bytes. The producer may block between two values; the consumer gets all values given so far.
package ahead

import (
	"slices"
	"sync"
)

// Limits of a Buffer.
const (
	maxItems = 256
	maxBytes = 1 << 20
)

// A Buffer holds values between Give and Take. One goroutine calls Give and End; another one waits
// for Some and calls Take and Close.
type Buffer[T any] struct {
	size  func(T) int
	ready chan struct{}
	room  chan struct{} // gets a token when values were taken, and on Close

	mu     sync.Mutex
	values []T
	bytes  int
	closed bool
	ended  bool
	err    error
}

// New returns a Buffer for values whose size in bytes is about what size returns.
func New[T any](size func(T) int) *Buffer[T] {
	return &Buffer[T]{size: size, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// Give adds a value. It blocks while the Buffer holds 256 values or 1 MiB. It returns false after
// Close.
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
		signal(b.ready)
	}
	return true
}

// End marks the end of the values. err is the reason, nil for a normal end.
func (b *Buffer[T]) End(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.err = true, err
	signal(b.ready)
}

// Some returns a channel that gets a token when there may be values, and after End.
func (b *Buffer[T]) Some() <-chan struct{} { return b.ready }

// Take returns the buffered values and whether further ones may come. spent is a slice that an
// earlier Take returned; its memory is used again.
func (b *Buffer[T]) Take(spent []T) (values []T, more bool, err error) {
	clear(spent)
	b.mu.Lock()
	defer b.mu.Unlock()
	values, b.bytes = b.values, 0
	b.values = slices.Grow(spent[:0], len(values))
	signal(b.room)
	return values, !b.ended, b.err
}

// Close makes Give return false: the consumer wants no further values.
func (b *Buffer[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	signal(b.room)
}

func signal(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
