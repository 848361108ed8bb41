package top

import (
	"context"
	"errors"
	"fmt"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/operate"
)

// An Operator acts on stages and items. Its methods are those of operate.Operator.
type Operator interface {
	Pause(ctx context.Context, name string, act operate.Act) (stage string, err error)
	Resume(ctx context.Context, name string, act operate.Act) (stage string, err error)
	Cancel(ctx context.Context, source string, offset int64, act operate.Act) (inspect.Call, error)
}

// An action is the subject of a question to the user. It keeps its object, whichever row is chosen meanwhile.
type action struct {
	name  string // such as "pause stage 3f2a"
	about string // further text of the question
	run   func(ctx context.Context, o Operator) error
}

// places says where the keys of actions have an effect.
var places = map[string]string{
	"p": "p pauses a stage: choose one among the stages (2), or a queue (4)",
	"c": "c cancels a running item: choose its worker (3) or its stage (2)",
}

// An actedMsg is the result of an action.
type actedMsg struct {
	action action
	err    error
}

// act runs the actions of requests, one after another, until ctx ends.
func act(ctx context.Context, o Operator, requests <-chan action, send func(tea.Msg)) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-requests:
			send(actedMsg{a, a.run(ctx, o)})
		}
	}
}

// pausing returns the action that pauses a stage, or resumes a paused one.
func pausing(s inspect.Stage) action {
	about := "function " + s.Function
	if s.Pause == nil {
		return action{"pause stage " + s.ID, about + ": workers finish what they run and take no more", func(ctx context.Context, o Operator) error {
			_, err := o.Pause(ctx, s.ID, operate.Act{})
			return err
		}}
	}
	about += ", paused by " + s.Pause.By
	if s.Pause.Why != "" {
		about += ": " + s.Pause.Why
	}
	return action{"resume stage " + s.ID, about, func(ctx context.Context, o Operator) error {
		_, err := o.Resume(ctx, s.ID, operate.Act{})
		return err
	}}
}

// pauseOfStage returns the action of the key p for a stage.
func pauseOfStage(_ watch.View, s inspect.Stage) (action, error) { return pausing(s), nil }

// pauseOfQueue returns the action of the key p for a queue, which stands for the stage that reads it.
func pauseOfQueue(v watch.View, q inspect.Queue) (action, error) {
	for _, s := range v.Snapshot.Stages {
		if s.Partition == q.Partition && len(s.In) > 0 && s.In[0] == q.Name {
			return pausing(s), nil
		}
	}
	return action{}, fmt.Errorf("no stage reads queue %s", q.Name)
}

// A running call has a worker.
type running struct {
	inspect.Call
	worker string // host and process
}

// canceling returns the action that cancels the item which has run for the longest time.
func canceling(calls []running, at time.Time) (action, error) {
	if len(calls) == 0 {
		return action{}, errors.New("no item runs there, or none for long enough to be reported")
	}
	longest := calls[0]
	for _, c := range calls[1:] {
		if c.Since.Before(longest.Since) {
			longest = c
		}
	}
	about := fmt.Sprintf("function %s runs it for %v on %s; it becomes a failure", longest.Function, cli.Since(at, longest.Since), longest.worker)
	return action{fmt.Sprintf("cancel item %s %d", longest.Source, longest.Offset), about, func(ctx context.Context, o Operator) error {
		_, err := o.Cancel(ctx, longest.Source, longest.Offset, operate.Act{})
		if errors.Is(err, operate.ErrStillRunning) {
			err = fmt.Errorf("%w: give dqbridge cancel --abandon %s %d to let its slot go on without it, or restart the worker", err, longest.Source, longest.Offset)
		}
		return err
	}}, nil
}

// cancelOfWorker returns the action of the key c for a worker.
func cancelOfWorker(v watch.View, w inspect.Worker) (action, error) {
	return canceling(callsOf([]inspect.Worker{w}, func(inspect.Call) bool { return true }), v.Snapshot.At)
}

// cancelOfStage returns the action of the key c for a stage.
func cancelOfStage(v watch.View, s inspect.Stage) (action, error) {
	return canceling(callsOf(v.Snapshot.Workers, func(c inspect.Call) bool { return c.Stage == s.ID }), v.Snapshot.At)
}

// callsOf returns the calls of workers that meet a condition.
func callsOf(workers []inspect.Worker, meets func(inspect.Call) bool) (calls []running) {
	for _, w := range workers {
		for _, c := range having(w.Running, meets) {
			calls = append(calls, running{c, fmt.Sprintf("%s:%d", w.Host, w.PID)})
		}
	}
	return calls
}

// propose asks about the action of a key for the chosen row, or says why there is none.
func (m *model) propose(key string) {
	if m.acting {
		return // its line says so
	}
	a, err := m.pane().act(key)
	if err != nil {
		m.say(badStyle, err.Error())
		return
	}
	m.proposed, m.asking = a, true
}

// answer handles a key while a question is open.
func (m *model) answer(key string) {
	m.asking = false
	if key != "y" && key != "Y" {
		m.say(headStyle, "declined: "+m.proposed.name)
		return
	}
	m.acting = true
	m.requests <- m.proposed // it has room for the only one that is under way
}

// acted shows the result of an action.
func (m *model) acted(msg actedMsg) {
	m.acting = false
	if msg.err != nil {
		m.say(badStyle, msg.err.Error())
		return
	}
	m.say(goodStyle, "done: "+msg.action.name)
}
