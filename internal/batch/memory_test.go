package batch_test

import (
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
)

func TestMemoryIsReusedExclusively(t *testing.T) {
	t.Parallel()
	var m batch.Memory
	frame := m.Get(64 << 10)
	m.Put(frame)
	again := m.Get(60 << 10)
	if len(again) != 60<<10 || &again[0] != &frame[0] {
		t.Errorf("%d bytes, not those of the frame that nobody needs", len(again))
	}
	if other := m.Get(60 << 10); &other[0] == &again[0] {
		t.Error("two have the same memory")
	}
	m.Put(again)
	if small := m.Get(8 << 10); &small[0] == &again[0] {
		t.Error("a small frame holds the memory of a large one")
	}
	if large := m.Get(1 << 20); len(large) != 1<<20 {
		t.Errorf("%d bytes", len(large))
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var m batch.Memory
	const size = 1 << 20
	put := map[*byte]bool{}
	for range 20 {
		frame := make([]byte, size)
		put[&frame[0]] = true
		m.Put(frame)
	}
	m.Put(make([]byte, 100<<20)) // larger than all that is kept
	kept := 0
	for range 20 {
		if frame := m.Get(size); put[&frame[0]] {
			kept++
		}
	}
	if kept != 8 {
		t.Errorf("%d frames of 1 MiB are kept, not 8", kept)
	}
	m.Put(make([]byte, size))
	frame := m.Get(size)
	m.Put(frame)
	m.Forget()
	if again := m.Get(size); &again[0] == &frame[0] {
		t.Error("what should be forgotten is kept")
	}
	var none *batch.Memory
	none.Put(make([]byte, size))
	if got := none.Get(size); len(got) != size {
		t.Errorf("without memory: %d bytes", len(got))
	}
}

func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	var m batch.Memory
	var group sync.WaitGroup
	for by := range 4 {
		group.Go(func() {
			for i := range 1000 {
				frame := m.Get(5000 + i)
				for j := range frame {
					frame[j] = byte(by)
				}
				for _, b := range frame {
					if b != byte(by) {
						t.Error("somebody else has written into it")
						return
					}
				}
				m.Put(frame)
			}
		})
	}
	group.Wait()
}
