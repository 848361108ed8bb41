package columns

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/inspect"
)

// queueState returns the state of a queue, and that it is full.
func queueState(q inspect.Queue) string {
	if q.Full {
		return q.State + ", full"
	}
	return q.State
}

// atLeast returns a number of items of a queue. Its text says if there may be more.
func atLeast(q inspect.Queue, n int64) cli.Number {
	if q.AtLeast && n > 0 {
		return cli.Number{Value: n, Text: fmt.Sprint(">=", n)}
	}
	return cli.Number{Value: n, Text: fmt.Sprint(n)}
}

// Consumer returns the consumer of a queue, with the process of a gather.
func Consumer(q inspect.Queue, at time.Time) string {
	if q.Gather == nil {
		return q.Consumer
	}
	return "gather " + process(q.Gather, at)
}

// process returns host and process id of a process, and since when it is not live.
func process(p *inspect.Process, at time.Time) string {
	switch name := fmt.Sprintf("%s:%d", p.Host, p.PID); p.State {
	case inspect.Live:
		return name
	case inspect.Dead:
		if p.Host == "" { // it is cleaned up
			return "dead " + p.ID
		}
		return name + " dead"
	default:
		return fmt.Sprintf("%s %s %v", name, p.State, cli.Since(at, p.Seen))
	}
}

func workerState(w inspect.Worker, at time.Time) string {
	switch {
	case w.State == inspect.Live && w.Draining:
		return "draining"
	case w.State == inspect.Live:
		return w.State
	}
	return fmt.Sprintf("%s %v", w.State, cli.Since(at, w.Seen))
}

// longest returns the call that a worker has run for the longest time.
func longest(w inspect.Worker, at time.Time) string {
	if len(w.Running) == 0 {
		return ""
	}
	c := w.Running[0]
	return fmt.Sprintf("%s %v %s %d", c.Function, cli.Since(at, c.Since), c.Source, c.Offset)
}

// slots returns the numbers of slots and of stuck functions of a worker.
func slots(w inspect.Worker) cli.Number {
	n := cli.Number{Value: int64(w.Concurrency), Text: fmt.Sprintf("%d slots", w.Concurrency)}
	if w.Stuck > 0 {
		n.Text += fmt.Sprintf(", %d stuck", w.Stuck)
	}
	return n
}

// short rounds a duration to three digits. Its text is empty if it is 0: it is not known.
func short(d time.Duration) cli.Number {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return timeOrNone(d.Round(unit))
}

// timeOrNone returns a duration whose text is empty if it is 0: it is not known.
func timeOrNone(d time.Duration) cli.Number {
	if d == 0 {
		return cli.Number{}
	}
	return cli.Number{Value: int64(d), Text: d.String()}
}

// unknown is the cell of a value that is not known. It comes before all others.
const unknown = "-"

// knownTime returns a time that may not be known.
func knownTime(d *time.Duration) cli.Number {
	if d == nil {
		return cli.Number{Value: -1, Text: unknown}
	}
	return cli.Number{Value: int64(*d), Text: short(*d).String()}
}

// waited returns the median wait of the items of a stage in its in-queue.
func waited(s inspect.Stage) cli.Number {
	if s.Wait == nil {
		return knownTime(nil)
	}
	return knownTime(&s.Wait.P50)
}

// batchSize returns the mean number of items of a call.
func batchSize(s inspect.Stage) cli.Number {
	if s.BatchSize == nil {
		return cli.Number{Value: -1, Text: unknown}
	}
	return cli.Number{Value: int64(1000 * *s.BatchSize), Text: fmt.Sprintf("%.3g", *s.BatchSize)}
}

// perSecond returns a rate with about three digits.
func perSecond(rate float64) cli.Number {
	n := cli.Number{Value: int64(rate * 1000), Text: fmt.Sprintf("%.3g/s", rate)}
	if rate >= 1000 {
		n.Text = fmt.Sprintf("%.0f/s", rate)
	}
	return n
}

// percent returns a share as a percentage.
func percent(share float64) cli.Number {
	return cli.Number{Value: int64(share * 1000), Text: fmt.Sprintf("%.0f%%", 100*share)}
}

// why returns why items of a flow do not move, or what limits its rate.
// It ends with its failures.
func why(f inspect.Flow) string {
	text := f.Why
	if f.Bottleneck != nil && text == "" {
		text = f.Bottleneck.Text
	}
	if text != "" && f.Failures != "" {
		text += "; "
	}
	return text + f.Failures
}

// remedy returns what to do about that.
func remedy(f inspect.Flow) string {
	if f.Why == "" && f.Bottleneck != nil {
		return f.Bottleneck.Remedy
	}
	return f.Remedy
}

// holders returns the number of workers that run a stage, and why others do not.
func holders(s inspect.Stage) cli.Number {
	n := cli.Number{Value: int64(s.Workers), Text: fmt.Sprint(s.Workers)}
	if s.Others > 0 {
		n.Text += fmt.Sprintf(", %d with other types", s.Others)
	}
	if s.Untagged > 0 {
		n.Text += fmt.Sprintf(", %d without the tags", s.Untagged)
	}
	switch {
	case s.Pause != nil && s.Pause.Why != "":
		n.Text += ", paused by " + s.Pause.By + ": " + s.Pause.Why
	case s.Pause != nil:
		n.Text += ", paused by " + s.Pause.By
	case s.Paused:
		n.Text += ", paused"
	}
	return n
}

// wants returns the item that a gather waits for, and for how long it has.
func wants(g inspect.Gather, at time.Time) string {
	if g.Wants == nil {
		return ""
	}
	return fmt.Sprintf("%s %d %v", g.Wants.Source, g.Wants.Offset, cli.Since(at, g.Wants.Since))
}

// known returns a number that is -1 if it is not known.
func known(n int64) cli.Number {
	if n < 0 {
		return cli.Number{Value: n}
	}
	return cli.Number{Value: n, Text: fmt.Sprint(n)}
}

// took returns how long a flow was there.
func took(f inspect.EndedFlow) cli.Age { return cli.Since(f.Ended, f.Began) }

// timeOf returns a time, "" if it is zero.
func timeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// each returns a time for an item of each stage of a flow. Its order is that of the longest one.
func each(f inspect.EndedFlow, of func(inspect.EndedStage) time.Duration) cli.Number {
	var texts []string
	var longest time.Duration
	for _, s := range f.Stages {
		longest = max(longest, of(s))
		texts = append(texts, cmp.Or(short(of(s)).String(), "-"))
	}
	return cli.Number{Value: int64(longest), Text: strings.Join(texts, " > ")}
}

// topError returns the most frequent failure of a flow.
func topError(f inspect.EndedFlow) string {
	if len(f.Errors) == 0 {
		return ""
	}
	e := f.Errors[0]
	return fmt.Sprintf("%dx %s: %s", e.Count, e.Code, e.Message)
}

// by returns the process that has something, "" for none.
func by(p *inspect.Process, at time.Time) string {
	if p == nil {
		return ""
	}
	return process(p, at)
}
