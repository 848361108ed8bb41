package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
)

// A View is the state of a namespace as the last successful read has found it.
type View struct {
	Snapshot inspect.Snapshot
	Errors   []inspect.ErrorGroup
	Server   inspect.Server
	// ServerErr is why Server could not be read, nil if it was.
	ServerErr error
	// At is when the read ended, by the clock of this process. It is zero before the first one.
	At time.Time
	// Err is why the last read has failed, nil if it has not. The rest is then that of an earlier one.
	Err error

	flows    []inspect.Flow   // nil: not known
	findings []doctor.Finding // likewise
}

// Flows returns the flows of the view. In a view of a Looker, the state of a flow and its cause change
// only when two looks in turn have found the new ones; an operator's pause and the end show at once.
func (v View) Flows() []inspect.Flow {
	if v.flows == nil {
		return v.Snapshot.Flows()
	}
	return v.flows
}

// Findings returns the findings of the doctor in the view. In a view of a Looker, a warning or a failure
// comes and goes only when two looks in turn agree.
func (v View) Findings() []doctor.Finding {
	if v.findings == nil {
		return doctor.Examine(v.facts(v.Flows()))
	}
	return v.findings
}

func (v View) facts(flows []inspect.Flow) doctor.Facts {
	return doctor.Facts{Snapshot: v.Snapshot, Flows: flows, Server: v.Server, ServerErr: v.ServerErr}
}

// A Looker reads a namespace in turn, and remembers the last looks, to distinguish a state from a
// moment. It forgets the objects that are gone. It is for one goroutine.
type Looker struct {
	inspector executor.Inspector
	nextInfo  time.Time // of the server, not before
	loads     loads
	flows     map[flowKey]toldFlow
	findings  map[findingKey]toldFinding
}

// NewLooker returns a Looker that reads by an inspector.
func NewLooker(inspector executor.Inspector) *Looker { return &Looker{inspector: inspector} }

// Look reads the namespace: what Snapshot, Errors and Server of the inspector do.
func (l *Looker) Look(ctx context.Context) (view View, err error) {
	if view.Snapshot, err = l.inspector.Snapshot(ctx); err != nil {
		return view, err
	}
	if view.Errors, err = l.inspector.Errors(ctx); err != nil {
		return view, err
	}
	view.Server, view.ServerErr = l.server(ctx)
	l.conclude(&view)
	return view, nil
}

// Once is Look for a caller that looks only once. If items wait, it looks at the server again after a
// second, to learn how busy Redis is. A state may be that of a moment.
func (l *Looker) Once(ctx context.Context) (View, error) {
	view, err := l.Look(ctx)
	if err != nil || !l.loads.known() || !waits(view.Snapshot) {
		return view, err
	}
	select {
	case <-time.After(leastSpan):
	case <-ctx.Done():
		return View{}, context.Cause(ctx)
	}
	if view.Server, view.ServerErr = l.server(ctx); view.ServerErr == nil {
		view.Snapshot.Redis = l.loads.add(time.Now(), view.Server.Nodes)
	}
	view.flows, view.findings = view.Snapshot.Flows(), nil
	return view, nil
}

// waits reports whether items wait.
func waits(s inspect.Snapshot) bool {
	for _, q := range s.Queues {
		if q.Unread() > 0 {
			return true
		}
	}
	return false
}

// conclude adds to a view the conclusions from it and from the views before.
func (l *Looker) conclude(view *View) {
	view.At = time.Now()
	if view.ServerErr == nil {
		view.Snapshot.Redis = l.loads.add(view.At, view.Server.Nodes)
	}
	view.flows = l.settleFlows(view.Snapshot)
	view.findings = l.settleFindings(doctor.Examine(view.facts(view.flows)))
}

// server reads the state of the server, unless that was denied lately.
func (l *Looker) server(ctx context.Context) (inspect.Server, error) {
	now := time.Now()
	if now.Before(l.nextInfo) {
		return inspect.Server{}, fmt.Errorf("state of the server: %w", executor.ErrDenied)
	}
	server, err := l.inspector.Server(ctx)
	if errors.Is(err, executor.ErrDenied) {
		l.nextInfo = now.Add(deniedPause)
	}
	return server, err
}
