package batch

import (
	"slices"
	"sync"
)

// Memory keeps the memory of frames that nobody refers to any more, for others to
// come: large ones made anew would be most of what an item costs the allocator. The
// zero value is ready, a nil one keeps nothing, and any goroutine may use it.
type Memory struct {
	mu   sync.Mutex
	free [][]byte // the last one was used last
	size int      // of them
}

// Of the memory of frames what is small is not kept, nor more than this in total.
const (
	minKept = 4 << 10
	maxKept = 8 << 20
)

// Get returns n bytes, which may hold anything.
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
	return make([]byte, n, n+n/16) // the next frame is rarely of the same size
}

// Forget keeps nothing of what was put until now.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.size = nil, 0
}

// Put takes a frame to which nobody refers any more. Of too many, the oldest go.
func (m *Memory) Put(frame []byte) {
	c := cap(frame)
	if m == nil || c < minKept || c > maxKept {
		return
	}
	spoil(frame)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.size = append(m.free, frame), m.size+c
	old := 0
	for ; m.size > maxKept; old++ {
		m.size -= cap(m.free[old])
	}
	m.free = slices.Delete(m.free, 0, old)
}
