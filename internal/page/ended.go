package page

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// An endedRow is a flow that has gone.
type endedRow struct {
	inspect.EndedFlow
	Took time.Duration // 0 if it is not known
}

func readEnded(ctx context.Context, p *Page, s *state, q url.Values) (any, error) {
	flows, err := p.ended.read(ctx, p, s.Snapshot.At)
	if err != nil {
		return nil, err
	}
	rows := make([]endedRow, 0, len(flows))
	for _, f := range flows {
		rows = append(rows, endedRow{f, since(f.Ended, f.Began)})
	}
	texts := func(f endedRow) []string {
		all := append([]string{f.Name}, f.Chain...)
		for _, e := range f.Errors {
			all = append(all, e.Code, e.Message)
		}
		return all
	}
	return tableOf(q, rows, texts, []column[endedRow]{
		{"flow", "Flow", false, by(func(f endedRow) string { return f.Name })},
		{"began", "Began", false, by(func(f endedRow) int64 { return f.Began.UnixMilli() })},
		{"took", "Took", true, by(func(f endedRow) time.Duration { return f.Took })},
		{"items", "Items", true, by(func(f endedRow) int64 { return f.Items })},
		{"failed", "Failed", true, by(func(f endedRow) int64 { return f.Failed })},
		{"error", "Most frequent error", false, nil},
		{"time", "p50, p99 of an item", true, by(func(f endedRow) time.Duration { return f.slowest() })},
	}), nil
}

// slowest returns the greatest median of the stages.
func (f endedRow) slowest() (p50 time.Duration) {
	for _, s := range f.Stages {
		p50 = max(p50, s.P50)
	}
	return p50
}

// endedAge is the time for which the flows that have gone are not read again: they may be a megabyte.
const endedAge = 10 * time.Second

// endedFlows keeps the flows that have gone for a while, so that many readers of a page cost one read.
type endedFlows struct {
	mu    sync.Mutex
	at    time.Time // of the state when they were read
	known []inspect.EndedFlow
}

// read returns the flows as they were at most endedAge before now, the time of a state.
func (e *endedFlows) read(ctx context.Context, p *Page, now time.Time) ([]inspect.EndedFlow, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.at.IsZero() && now.Sub(e.at) < endedAge {
		return e.known, nil
	}
	found, err := p.inspector.EndedFlows(ctx)
	if err != nil {
		return nil, err
	}
	e.at, e.known = now, found
	return found, nil
}
