package top

import (
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/columns"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// panes returns the panes in the order of their keys.
func panes() []pane {
	return []pane{
		&table[inspect.Flow]{
			name: "flows", columns: columns.Flows, more: ofFlow,
			read: func(v watch.View) []inspect.Flow { return v.Flows() },
			key:  func(f inspect.Flow) string { return place(f.Partition, f.Name) },
		},
		&table[inspect.Stage]{
			name: "stages", columns: func(time.Time) []cli.Column[inspect.Stage] { return columns.Stages() }, more: ofStage,
			read: func(v watch.View) []inspect.Stage { return v.Snapshot.Stages },
			key:  func(s inspect.Stage) string { return place(s.Partition, s.ID) },
			acts: map[string]func(watch.View, inspect.Stage) (action, error){"p": pauseOfStage, "c": cancelOfStage},
		},
		&table[inspect.Worker]{
			name: "workers", columns: columns.Workers, more: ofWorker,
			read: func(v watch.View) []inspect.Worker { return v.Snapshot.Workers },
			key:  func(w inspect.Worker) string { return w.ID },
			acts: map[string]func(watch.View, inspect.Worker) (action, error){"c": cancelOfWorker},
		},
		&table[inspect.Queue]{
			name: "queues", columns: columns.Queues, more: ofQueue,
			read: func(v watch.View) []inspect.Queue { return v.Snapshot.Queues },
			key:  func(q inspect.Queue) string { return place(q.Partition, q.Name) },
			acts: map[string]func(watch.View, inspect.Queue) (action, error){"p": pauseOfQueue},
		},
		&table[inspect.ErrorGroup]{
			name: "errors", columns: func(time.Time) []cli.Column[inspect.ErrorGroup] { return columns.Errors() }, more: ofError,
			read: func(v watch.View) []inspect.ErrorGroup { return v.Errors },
			key:  func(e inspect.ErrorGroup) string { return place(e.Partition, e.Stage, e.Code, e.First.String()) },
		},
	}
}

// section returns some rows under a title, and no line without rows.
func section[T any](title string, columns []cli.Column[T], rows []T, width int) []string {
	if len(rows) == 0 {
		return nil
	}
	lines := []string{"", headStyle.Render(title)}
	for _, line := range grid(narrow(columns), rows, width-len(blank)) {
		lines = append(lines, blank+line)
	}
	return lines
}

// having returns the rows that meet a condition.
func having[T any](rows []T, meets func(T) bool) (found []T) {
	for _, row := range rows {
		if meets(row) {
			found = append(found, row)
		}
	}
	return found
}

// ofFlow returns what limits a flow, its stages and its queues.
func ofFlow(v watch.View, f inspect.Flow, width int) (lines []string) {
	if b := f.Bottleneck; b != nil {
		text := b.Text
		if b.Remedy != "" {
			text += " -> " + b.Remedy
		}
		lines = append([]string{"", headStyle.Render("bottleneck")}, wrap(clean(text), width)...)
	}
	stages := having(v.Snapshot.Stages, func(s inspect.Stage) bool { return s.Partition == f.Partition && slices.Contains(f.Stages, s.ID) })
	queues := having(v.Snapshot.Queues, func(q inspect.Queue) bool { return q.Partition == f.Partition && slices.Contains(f.Queues, q.Name) })
	lines = append(lines, section("stages", columns.Stages(), stages, width)...)
	return append(lines, section("queues", columns.Queues(v.Snapshot.At), queues, width)...)
}

// ofStage returns the failures of a stage.
func ofStage(v watch.View, s inspect.Stage, width int) []string {
	groups := having(v.Errors, func(e inspect.ErrorGroup) bool { return e.Stage == s.ID && e.Partition == s.Partition })
	return section("errors", columns.Errors(), groups, width)
}

// ofWorker returns the calls that a worker runs.
func ofWorker(v watch.View, w inspect.Worker, width int) []string {
	return section("calls", columns.Calls(v.Snapshot.At), w.Running, width)
}

// ofQueue returns the sources of a queue.
func ofQueue(v watch.View, q inspect.Queue, width int) []string {
	sources := having(v.Snapshot.Sources, func(s inspect.Source) bool { return s.Queue == q.Name && s.Partition == q.Partition })
	return section("sources", columns.Sources(v.Snapshot.At), sources, width)
}

// ofError returns the stack of a panic.
func ofError(_ watch.View, e inspect.ErrorGroup, width int) (lines []string) {
	if e.Stack == "" {
		return nil
	}
	lines = []string{"", headStyle.Render("stack")}
	for line := range strings.Lines(e.Stack) {
		text := clean(strings.TrimRight(line, "\r\n"))
		lines = append(lines, wrap(text, width)...)
	}
	return lines
}
