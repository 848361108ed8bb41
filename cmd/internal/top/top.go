// Package top shows the state of a namespace on a terminal, and again as soon as it has changed.
package top

import (
	"context"
	"io"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/dqbridge/dqbridge/internal/watch"
)

// Settings are the terminal and what it shows beside the state.
type Settings struct {
	In  io.Reader
	Out io.Writer
	// Place names the server and the namespace.
	Place string
	// Operator runs the actions that the user confirms.
	Operator Operator
}

// Run shows the views of a watcher until the user quits or ctx ends; then it returns the cause.
func Run(ctx context.Context, w *watch.Watcher, s Settings) error { return run(ctx, w, s) }

func run(ctx context.Context, w *watch.Watcher, s Settings, opts ...tea.ProgramOption) error {
	defer w.Look()()
	opts = append(opts, tea.WithInput(s.In), tea.WithOutput(s.Out), tea.WithoutSignalHandler())
	requests := make(chan action, 1)
	program := tea.NewProgram(newModel(s.Place, requests), opts...)
	feeding, stop := context.WithCancel(ctx)
	var fed sync.WaitGroup
	fed.Go(func() {
		feed(feeding, w, program.Send)
		program.Quit()
	})
	fed.Go(func() { act(feeding, s.Operator, requests, program.Send) })
	_, err := program.Run()
	stop()
	fed.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// A viewMsg is a new state of the namespace.
type viewMsg struct {
	view watch.View
	now  time.Time
}

// A clockMsg is the time, once a second.
type clockMsg time.Time

// feed sends each view, and the time, until ctx ends.
func feed(ctx context.Context, w *watch.Watcher, send func(tea.Msg)) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		view, changed := w.Latest()
		send(viewMsg{view, time.Now()})
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				waiting = false
			case now := <-tick.C:
				send(clockMsg(now))
			}
		}
	}
}
