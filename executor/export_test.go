package executor

import (
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Remembered returns how many queues of flows an Executor remembers.
func Remembered(ex *Executor) int {
	ex.home.flows.mu.Lock()
	defer ex.home.flows.mu.Unlock()
	return len(ex.home.flows.links)
}

// Submitters returns how many submitters an Executor has.
func Submitters(ex *Executor) int {
	ex.home.submits.mu.Lock()
	defer ex.home.submits.mu.Unlock()
	return len(ex.home.submits.slots)
}

// Activities returns the number of scatters and gathers that an Executor would report.
func Activities(ex *Executor) (n int) {
	for _, p := range append(ex.others.all(), ex.home) {
		p.active.mu.Lock()
		n += len(p.active.feeds) + len(p.active.gathers)
		p.active.mu.Unlock()
	}
	return n
}

// EndedFlowsOf returns the flows of stages that have gone.
func EndedFlowsOf(stages ...broker.EndedStage) (flows []inspect.EndedFlow) {
	for _, f := range endedFlows(stages) {
		flows = append(flows, f.info(0))
	}
	return flows
}
