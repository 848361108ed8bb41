package page

import (
	"context"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// A stagePage is one stage.
type stagePage struct {
	inspect.Stage
	Flow       string
	Busy, Full float64
	Holders    []inspect.Worker
	Groups     []inspect.ErrorGroup
	Calls      []callRow
	Charts     []chart
	Histograms []histogram
	Range      string
}

// A callRow is a call with its worker.
type callRow struct {
	inspect.Call
	Worker inspect.Worker
	Took   time.Duration
}

func readStage(ctx context.Context, p *Page, s *state, q url.Values) (any, error) {
	st, ok := s.stageOf(q.Get("id"))
	if !ok {
		return nil, missing("There is no such stage. It may be deleted.")
	}
	content := stagePage{Stage: st, Busy: busy(st), Range: rangeOf(q), Histograms: histogramsOf(st)}
	if st.Recent.Length > 0 && st.Workers > 0 {
		content.Full = min(1, float64(st.Recent.Full)/float64(st.Recent.Length)/float64(st.Workers))
	}
	for _, f := range s.flows {
		if slices.Contains(f.Stages, st.ID) && f.Partition == st.Partition {
			content.Flow = f.Name
		}
	}
	for _, w := range s.Snapshot.Workers {
		if slices.Contains(w.Functions, st.Function) {
			content.Holders = append(content.Holders, w)
		}
	}
	for _, e := range s.Errors {
		if e.Stage == st.ID {
			content.Groups = append(content.Groups, e)
		}
	}
	content.Calls = callsOf(s, func(_ inspect.Worker, c inspect.Call) bool { return c.Stage == st.ID })
	var err error
	content.Charts, err = p.charts(ctx, s, []inspect.Stage{st}, content.Range)
	return content, err
}

// callsOf returns the running calls that fulfill a condition, the longest first.
func callsOf(s *state, ok func(inspect.Worker, inspect.Call) bool) (rows []callRow) {
	for _, w := range s.Snapshot.Workers {
		for _, c := range w.Running {
			if ok(w, c) {
				rows = append(rows, callRow{c, w, since(s.Snapshot.At, c.Since)})
			}
		}
	}
	slices.SortStableFunc(rows, by(func(c callRow) time.Duration { return -c.Took }))
	return rows
}

func readQueues(_ context.Context, _ *Page, s *state, q url.Values) (any, error) {
	age := func(q inspect.Queue) time.Duration { return since(s.Snapshot.At, q.Oldest) }
	return tableOf(q, s.Snapshot.Queues, func(q inspect.Queue) []string { return []string{q.Name, q.State, q.Type, q.Flow} }, []column[inspect.Queue]{
		{"queue", "Queue", false, by(func(q inspect.Queue) string { return q.Name })},
		{"state", "State", false, by(func(q inspect.Queue) string { return q.State })},
		{"waiting", "Waiting", true, by(func(q inspect.Queue) int64 { return q.Waiting })},
		{"requeued", "Requeued", true, by(func(q inspect.Queue) int64 { return q.Requeued })},
		{"delayed", "Delayed", true, by(func(q inspect.Queue) int64 { return q.Delayed })},
		{"suspects", "Suspect", true, by(func(q inspect.Queue) int64 { return q.Suspects })},
		{"running", "Running", true, by(func(q inspect.Queue) int64 { return q.Running })},
		{"oldest", "Oldest", true, by(age)},
		{"bound", "Bound", false, by(fill)},
		{"consumer", "Consumer", false, by(func(q inspect.Queue) string { return q.Consumer })},
	}), nil
}

// fill returns the part of the bounds of a queue that its items take.
func fill(q inspect.Queue) (part float64) {
	if q.Max > 0 {
		part = float64(q.Waiting) / float64(q.Max)
	}
	if q.MaxBytes > 0 {
		part = max(part, float64(q.Bytes)/float64(q.MaxBytes))
	}
	return part
}

// A queuePage is one queue.
type queuePage struct {
	inspect.Queue
	Fill    float64
	Stage   string // id of the stage that reads it, "" for none
	Sources []sourceRow
	Gathers []inspect.Gather
	Peeked  peeked
	Hidden  bool // the items are shown by their sizes
}

func readQueue(ctx context.Context, p *Page, s *state, q url.Values) (any, error) {
	i := slices.IndexFunc(s.Snapshot.Queues, func(queue inspect.Queue) bool { return queue.Name == q.Get("name") })
	if i < 0 {
		return nil, missing("There is no such queue. It may be deleted.")
	}
	queue := s.Snapshot.Queues[i]
	content := queuePage{Queue: queue, Fill: fill(queue), Sources: sourcesOf(s, []inspect.Queue{queue}, 0), Hidden: p.HidePayloads}
	content.Gathers = gathersOf(s, []inspect.Queue{queue})
	content.Peeked = p.items(ctx, queue.Name, q)
	if id, ok := strings.CutPrefix(queue.Consumer, "stage:"); ok {
		content.Stage = id
	}
	return content, nil
}

// A workerRow is a worker with its recent work.
type workerRow struct {
	inspect.Worker
	Work    workerWork
	Longest time.Duration // of its calls
	Active  int           // slots that run a call: known of calls of more than a second, and else by their time
}

// Slots returns the number of slots that run a call, "–" if it is not known: each call is too short to
// be reported, and together they take less than half the time of a slot.
func (w workerRow) Slots() string {
	if w.Active == 0 && w.Work.Busy >= leastShare {
		return "–"
	}
	return number(w.Active)
}

// leastShare is the least part that is not shown as 0 %.
const leastShare = 0.005

func rowOf(s *state, w inspect.Worker) workerRow {
	row := workerRow{Worker: w, Work: s.work[w.ID]}
	row.Active = min(max(len(w.Running), int(math.Round(row.Work.Busy*float64(w.Concurrency)))), w.Concurrency)
	for _, c := range w.Running {
		row.Longest = max(row.Longest, since(s.Snapshot.At, c.Since))
	}
	return row
}

func readWorkers(_ context.Context, _ *Page, s *state, q url.Values) (any, error) {
	rows := make([]workerRow, 0, len(s.Snapshot.Workers))
	for _, w := range s.Snapshot.Workers {
		rows = append(rows, rowOf(s, w))
	}
	return tableOf(q, rows, func(w workerRow) []string { return append([]string{w.ID, w.Host, w.State, w.Version}, w.Functions...) }, []column[workerRow]{
		{"worker", "Worker", false, by(func(w workerRow) string { return w.Host })},
		{"state", "State", false, by(func(w workerRow) string { return w.State })},
		{"slots", "Slots", true, by(func(w workerRow) int { return w.Active })},
		{"busy", "Busy", true, by(func(w workerRow) float64 { return w.Work.Busy })},
		{"rate", "Items", true, by(func(w workerRow) float64 { return w.Work.Rate })},
		{"failing", "Failing", true, by(func(w workerRow) float64 { return w.Work.Failing })},
		{"longest", "Longest call", true, by(func(w workerRow) time.Duration { return w.Longest })},
		{"functions", "Functions", false, nil},
		{"started", "Started", true, by(func(w workerRow) int64 { return w.Started.Unix() })},
	}), nil
}

// A workerPage is one worker.
type workerPage struct {
	inspect.Worker
	Row    workerRow
	Calls  []callRow
	Stream timeline
}

func readWorker(_ context.Context, _ *Page, s *state, q url.Values) (any, error) {
	i := slices.IndexFunc(s.Snapshot.Workers, func(w inspect.Worker) bool { return w.ID == q.Get("id") })
	if i < 0 {
		return nil, missing("There is no such worker. It may have ended.")
	}
	w := s.Snapshot.Workers[i]
	calls := callsOf(s, func(other inspect.Worker, _ inspect.Call) bool { return other.ID == w.ID })
	return workerPage{w, rowOf(s, w), calls, timelineOf(s.Snapshot.At, s.calls[w.ID])}, nil
}

func readErrors(_ context.Context, _ *Page, s *state, q url.Values) (any, error) {
	return tableOf(q, s.Errors, func(e inspect.ErrorGroup) []string { return []string{e.Message, e.Code, e.Stage, e.Function} }, []column[inspect.ErrorGroup]{
		{"message", "Message", false, by(func(e inspect.ErrorGroup) string { return e.Message })},
		{"code", "Code", false, by(func(e inspect.ErrorGroup) string { return e.Code })},
		{"stage", "Stage", false, by(func(e inspect.ErrorGroup) string { return e.Function })},
		{"count", "Count", true, by(func(e inspect.ErrorGroup) int64 { return e.Count })},
		{"last", "Last", true, by(func(e inspect.ErrorGroup) int64 { return e.Last.UnixMilli() })},
	}), nil
}
