package executor

// Remembered returns how many queues of flows an Executor remembers.
func Remembered(ex *Executor) int {
	ex.flows.mu.Lock()
	defer ex.flows.mu.Unlock()
	return len(ex.flows.m)
}

// Submitters returns how many submitters an Executor has.
func Submitters(ex *Executor) int {
	ex.submits.mu.Lock()
	defer ex.submits.mu.Unlock()
	return len(ex.submits.m)
}
