package page

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// flowOrder sorts the flows that need attention first.
var flowOrder = map[string]int{"stuck": 0, "paused": 1, "running": 2, "waiting": 3, "idle": 4, "done": 5}

// A flowRow is a flow in the list.
type flowRow struct {
	inspect.Flow
	Age   time.Duration // of its oldest waiting batch
	Trend string        // points of a line, 100 wide and 24 high
}

func readFlows(_ context.Context, _ *Page, s *state, q url.Values) (any, error) {
	rows := make([]flowRow, 0, len(s.flows))
	for _, f := range s.flows {
		rows = append(rows, flowRow{f, since(s.Snapshot.At, f.Oldest), line(s.trends[flowKey{f.Name, f.Partition}], 96, 20)})
	}
	slices.SortStableFunc(rows, func(a, b flowRow) int {
		return cmp.Or(cmp.Compare(flowOrder[a.State], flowOrder[b.State]), cmp.Compare(b.Age, a.Age))
	})
	return tableOf(q, rows, func(f flowRow) []string { return append([]string{f.Name, f.State, f.Why}, f.Chain...) }, []column[flowRow]{
		{"flow", "Flow", false, by(func(f flowRow) string { return f.Name })},
		{"state", "State", false, by(func(f flowRow) int { return flowOrder[f.State] })},
		{"in", "In", true, by(func(f flowRow) float64 { return f.RateIn })},
		{"out", "Out", true, by(func(f flowRow) float64 { return f.RateOut })},
		{"trend", "5 min", false, nil},
		{"waiting", "Waiting", true, by(func(f flowRow) int64 { return f.Waiting })},
		{"oldest", "Oldest", true, by(func(f flowRow) time.Duration { return f.Age })},
		{"failed", "Failed 5 min", true, by(func(f flowRow) int64 { return f.Failed })},
		{"eta", "ETA", true, by(func(f flowRow) time.Duration { return f.ETA })},
	}), nil
}

// line returns the points of a line through values, from the left to the right of a box.
func line(values []float64, width, height float64) string {
	if len(values) < 2 {
		return ""
	}
	top := slices.Max(values)
	if top == 0 {
		top = 1
	}
	var points strings.Builder
	for i, v := range values {
		x := width * float64(i+trendPoints-len(values)) / (trendPoints - 1)
		points.WriteString(strconv.FormatFloat(x, 'f', 1, 64) + "," + strconv.FormatFloat(height-2-v/top*(height-4), 'f', 1, 64) + " ")
	}
	return points.String()
}

// A flowPage is one flow.
type flowPage struct {
	inspect.Flow
	Graph   drawing
	Stages  []inspect.Stage
	Queues  []inspect.Queue
	Sources []sourceRow
	Gathers []inspect.Gather
	Charts  []chart
	Range   string
	Age     time.Duration
}

func readFlow(ctx context.Context, p *Page, s *state, q url.Values) (any, error) {
	partition, _ := strconv.Atoi(q.Get("partition")) // absent: 0
	i := slices.IndexFunc(s.flows, func(f inspect.Flow) bool { return f.Name == q.Get("name") && f.Partition == partition })
	if i < 0 {
		return nil, missing("There is no such flow. It may be done and deleted.")
	}
	f := s.flows[i]
	content := flowPage{Flow: f, Range: rangeOf(q), Age: since(s.Snapshot.At, f.Oldest)}
	for _, st := range s.Snapshot.Stages {
		if st.Partition == f.Partition && slices.Contains(f.Stages, st.ID) {
			content.Stages = append(content.Stages, st)
		}
	}
	slices.SortStableFunc(content.Stages, func(a, b inspect.Stage) int {
		return cmp.Compare(slices.Index(f.Stages, a.ID), slices.Index(f.Stages, b.ID))
	})
	for _, name := range f.Queues {
		j := slices.IndexFunc(s.Snapshot.Queues, func(q inspect.Queue) bool { return q.Name == name && q.Partition == f.Partition })
		if j >= 0 {
			content.Queues = append(content.Queues, s.Snapshot.Queues[j])
		}
	}
	content.Sources = sourcesOf(s, content.Queues, f.RateOut)
	content.Gathers = gathersOf(s, content.Queues)
	content.Graph = draw(s, content.Stages, content.Queues, content.Sources)
	var err error
	content.Charts, err = p.charts(ctx, s, content.Stages, content.Range)
	return content, err
}

// A sourceRow is a source with its progress.
type sourceRow struct {
	inspect.Source
	StoredPart, DeliveredPart float64       // of its end, or of the stored items while it is open
	ETA                       time.Duration // 0 if it is not known
	Waits                     string        // what it waits for, "" for nothing
}

// sourcesOf returns the sources of queues. rate is that of their delivery.
func sourcesOf(s *state, queues []inspect.Queue, rate float64) (rows []sourceRow) {
	for _, src := range s.Snapshot.Sources {
		if !slices.ContainsFunc(queues, func(q inspect.Queue) bool { return q.Name == src.Queue && q.Partition == src.Partition }) {
			continue
		}
		row := sourceRow{Source: src, Waits: waits(src, s.Snapshot.At)}
		total := max(src.End, src.Stored, 1)
		row.StoredPart, row.DeliveredPart = float64(src.Stored)/float64(total), float64(max(0, src.Delivered))/float64(total)
		if left := src.End - src.Delivered; src.End >= 0 && src.Delivered >= 0 && rate > 0 {
			row.ETA = time.Duration(float64(left) / rate * float64(time.Second))
		}
		rows = append(rows, row)
	}
	return rows
}

// waits says in few words what a source waits for, and for how much of its time.
func waits(src inspect.Source, now time.Time) string {
	var parts []string
	if src.Waited >= 0.01 {
		what := "for room "
		if src.State == inspect.Window {
			what = "for its gathers "
		}
		parts = append(parts, what+percent(src.Waited))
	}
	if src.Caller >= 0.01 {
		parts = append(parts, "for its program "+percent(src.Caller))
	}
	if age := since(now, src.Since); age > 0 {
		parts = append(parts, "now for "+duration(age))
	}
	if len(parts) == 0 {
		return ""
	}
	return "waits " + strings.Join(parts, ", ")
}

// gathersOf returns the gathers of queues.
func gathersOf(s *state, queues []inspect.Queue) (gathers []inspect.Gather) {
	for _, g := range s.Snapshot.Gathers {
		if slices.ContainsFunc(queues, func(q inspect.Queue) bool { return q.Name == g.Queue && q.Partition == g.Partition }) {
			gathers = append(gathers, g)
		}
	}
	return gathers
}
