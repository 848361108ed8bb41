package executor

// Remembered returns how many queues of flows an Executor remembers.
func Remembered(ex *Executor) int {
	ex.flows.mu.Lock()
	defer ex.flows.mu.Unlock()
	return len(ex.flows.m)
}
