package executor

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// EndedFlows lists the last flows that have gone, the latest first. A flow without items is left out. If
// only some stages of a flow were removed, these are listed. A partition keeps about 2,000 records of
// stages; reading costs it a round trip for each 250 of them. ErrClosed: the Executor was closed.
func (ex *Executor) EndedFlows(ctx context.Context) ([]inspect.EndedFlow, error) {
	if err := ex.check("ended flows"); err != nil {
		return nil, err
	}
	return ex.inspector.EndedFlows(ctx)
}

// EndedFlows lists what Executor.EndedFlows does.
func (i inspector) EndedFlows(ctx context.Context) (found []inspect.EndedFlow, err error) {
	ctx, end, err := i.tasks.begin(ctx, "ended flows")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	found = []inspect.EndedFlow{}
	for _, part := range i.parts {
		stages, err := part.EndedStages(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range endedFlows(stages) {
			found = append(found, f.info(part.Index()))
		}
	}
	slices.SortStableFunc(found, func(a, b inspect.EndedFlow) int {
		return cmp.Or(b.Ended.Compare(a.Ended), cmp.Compare(a.Name, b.Name))
	})
	return found, nil
}

// An endedFlow is the ended stages that queues connect, those behind others later.
type endedFlow []broker.EndedStage

// endedFlows divides stages into flows. A queue connects the stages that add to it with those that read
// it. Incarnations of a queue are different queues, and two stages that one queue had one after the other
// are in different flows.
func endedFlows(stages []broker.EndedStage) []endedFlow {
	parent, adds := make([]int, len(stages)), map[string][]int{}
	for n, s := range stages {
		parent[n] = n
		for out := range s.Outs {
			adds[out] = append(adds[out], n)
		}
	}
	root := func(n int) int {
		for parent[n] != n {
			parent[n] = parent[parent[n]]
			n = parent[n]
		}
		return n
	}
	for n, s := range stages {
		for in := range s.Ins {
			for _, before := range adds[in] {
				parent[root(n)] = root(before)
			}
		}
	}
	flows := make([]endedFlow, len(stages))
	for n, s := range stages {
		top := root(n)
		flows[top] = append(flows[top], s)
	}
	flows = slices.DeleteFunc(flows, func(f endedFlow) bool { return len(f) == 0 })
	for _, f := range flows {
		f.sort()
	}
	return flows
}

// sort orders the stages by the longest way to them.
func (f endedFlow) sort() {
	level := map[string]int{} // of queues
	deepest := func(s broker.EndedStage) (depth int) {
		for in := range s.Ins {
			depth = max(depth, level[in])
		}
		return depth
	}
	for range f { // at most one more level each time
		for _, s := range f {
			for out := range s.Outs {
				level[out] = max(level[out], min(deepest(s), len(f))+1)
			}
		}
	}
	slices.SortStableFunc(f, func(a, b broker.EndedStage) int {
		return cmp.Or(cmp.Compare(deepest(a), deepest(b)), cmp.Compare(a.ID, b.ID))
	})
}

// shownErrors is the number of error groups of an ended flow.
const shownErrors = 3

func (f endedFlow) info(partition int) inspect.EndedFlow {
	info := inspect.EndedFlow{
		Name: f[0].Flow, Chain: []string{}, Items: f.results(), Errors: []inspect.EndedError{}, Stages: []inspect.EndedStage{}, Partition: partition,
	}
	for _, s := range f {
		if info.Began.IsZero() || !s.Began.IsZero() && s.Began.Before(info.Began) {
			info.Began = s.Began
		}
		if s.At.After(info.Ended) {
			info.Ended = s.At
		}
		info.Failed += s.Failed
		info.Chain = append(info.Chain, cmp.Or(s.Function, s.Kind))
		info.Stages = append(info.Stages, inspect.EndedStage{
			ID: s.ID, Kind: s.Kind, Function: s.Function, Done: s.Items, Failed: s.Failed, P50: s.Times.Quantile(0.5), P99: s.Times.Quantile(0.99),
		})
		for _, g := range s.Errors {
			info.Errors = append(info.Errors, inspect.EndedError{Stage: s.ID, Function: s.Function, Code: g.Code, Message: firstLine(g.Message), Count: g.Count})
		}
	}
	slices.SortStableFunc(info.Errors, func(a, b inspect.EndedError) int { return cmp.Compare(b.Count, a.Count) })
	info.Errors = info.Errors[:min(shownErrors, len(info.Errors))]
	return info
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// results returns the items that came to the queues that no stage of the flow read. A stage of futures
// has no such queue: it returns the items that workers have reported.
func (f endedFlow) results() (items int64) {
	read, last := map[string]bool{}, map[string]int64{}
	for _, s := range f {
		if len(s.Outs) == 0 {
			items += s.Items
		}
		for in := range s.Ins {
			read[in] = true
		}
	}
	for _, s := range f {
		for out, came := range s.Outs {
			if !read[out] {
				last[out] = max(last[out], came) // of several stages that add to it
			}
		}
	}
	for _, came := range last {
		items += came
	}
	return items
}
