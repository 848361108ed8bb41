package batch

import (
	"slices"
	"sync"
)

// Memory keeps the buffers of unreferenced frames for later frames. Without it, large buffers would
// be most of the allocations for an item. The zero value is ready to use, a nil Memory keeps no
// buffer, and the methods are safe for concurrent use.
type Memory struct {
	mu   sync.Mutex
	free [][]byte // in the order of Put
	size int      // of free, in bytes
}

// Smaller buffers are not kept, and the total is bounded, in bytes.
const (
	minKept = 4 << 10
	maxKept = 8 << 20
)

// Get returns n bytes with arbitrary content.
func (m *Memory) Get(n int) []byte {
	if m == nil || n < minKept {
		return make([]byte, n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, frame := range slices.Backward(m.free) {
		if c := cap(frame); c >= n && c <= 2*n {
			m.free = slices.Delete(m.free, i, i+1)
			m.size -= c
			return frame[:n]
		}
	}
	return make([]byte, n, n+n/16) // with a reserve, since the next frame is rarely of the same size
}

// Forget releases all buffers kept so far.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.size = nil, 0
}

// Put keeps a frame without references for Get. If the total exceeds 8 MiB, it releases the oldest
// ones.
func (m *Memory) Put(frame []byte) {
	c := cap(frame)
	if m == nil || c < minKept || c > maxKept {
		return
	}
	poison(frame)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.size = append(m.free, frame), m.size+c
	old := 0
	for ; m.size > maxKept; old++ {
		m.size -= cap(m.free[old])
	}
	m.free = slices.Delete(m.free, 0, old)
}
