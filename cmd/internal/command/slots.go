package command

import "sync"

// slots are the numbers of processes that run at the same time, each the least that is free.
type slots struct {
	mu   sync.Mutex
	busy []bool
}

// take returns a number from 1 that nobody else has until it is released.
func (s *slots) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, busy := range s.busy {
		if !busy {
			s.busy[i] = true
			return i + 1
		}
	}
	s.busy = append(s.busy, true)
	return len(s.busy)
}

func (s *slots) release(number int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[number-1] = false
}
