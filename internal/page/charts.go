package page

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// A chart is a title and the data of a diagram over time.
type chart struct {
	Title, Unit string
	Text        string // the newest values as a sentence
	Data        string // JSON: labels, and times and values of each line
}

// rangeOf returns the time that the charts of an address show.
func rangeOf(q url.Values) string {
	if q.Get("range") == "1h" {
		return "1h"
	}
	return "5m"
}

// A moment is the work on several stages within one time.
type moment struct {
	at              time.Time
	in, out, failed float64 // items a second
	waiting, oldest float64
	busy            float64 // slots at work
}

// charts returns the diagrams of a flow or of a stage.
func (p *Page) charts(ctx context.Context, s *state, stages []inspect.Stage, length string) ([]chart, error) {
	moments := map[int64]*moment{}
	for _, st := range stages[:min(len(stages), maxNodes)] {
		h, err := p.history(ctx, s, st.ID)
		if err != nil {
			return nil, err
		}
		works, span := h.Seconds, 5*time.Minute
		if length == "1h" {
			works, span = h.Minutes, time.Hour
		}
		addMoments(moments, within(works, s.Snapshot.At, span), s.Snapshot.At.Add(-reportLag), stageEnds{isFirst(st, stages), isLast(st, stages)})
	}
	all := make([]*moment, 0, len(moments))
	for _, m := range moments {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *moment) int { return a.at.Compare(b.at) })
	return []chart{
		chartOf("Items a second", "/s", all, []string{"in", "out", "failed"},
			func(m *moment) []float64 { return []float64{m.in, m.out, m.failed} }),
		chartOf("Waiting items", "", all, []string{"waiting"}, func(m *moment) []float64 { return []float64{m.waiting} }),
		chartOf("Age of the oldest item", "s", all, []string{"oldest"}, func(m *moment) []float64 { return []float64{m.oldest} }),
		chartOf("Slots at work", "", all, []string{"slots"}, func(m *moment) []float64 { return []float64{m.busy} }),
	}, nil
}

// isFirst reports whether no other of the stages feeds a stage.
func isFirst(st inspect.Stage, stages []inspect.Stage) bool {
	return !slices.ContainsFunc(stages, func(other inspect.Stage) bool {
		return other.ID != st.ID && slices.ContainsFunc(other.Out, func(out string) bool { return slices.Contains(st.In, out) })
	})
}

// isLast reports whether a stage feeds none of the others.
func isLast(st inspect.Stage, stages []inspect.Stage) bool {
	return !slices.ContainsFunc(stages, func(other inspect.Stage) bool {
		return other.ID != st.ID && slices.ContainsFunc(st.Out, func(out string) bool { return slices.Contains(other.In, out) })
	})
}

// reportLag is the time after which the workers have reported what they have done.
const reportLag = 3 * time.Second

// within returns the works that have begun within a span before now.
func within(works []inspect.Work, now time.Time, span time.Duration) []inspect.Work {
	i := slices.IndexFunc(works, func(w inspect.Work) bool { return now.Sub(w.Start) <= span+w.Length })
	if i < 0 {
		return nil
	}
	return works[i:]
}

// stageEnds says at which ends of a flow a stage is.
type stageEnds struct{ first, last bool }

// addMoments adds the work on one stage to that of others at the same times. It leaves out the work
// that ends after reported, since the rates of a time that is not over are too low.
func addMoments(moments map[int64]*moment, works []inspect.Work, reported time.Time, stage stageEnds) {
	for i, w := range works {
		if w.Start.Add(w.Length).After(reported) {
			return
		}
		m := moments[w.Start.Unix()]
		if m == nil {
			m = &moment{at: w.Start}
			moments[w.Start.Unix()] = m
		}
		seconds := cmp.Or(w.Length.Seconds(), 1)
		if stage.first && i+1 < len(works) {
			m.in += arrivals(w, works[i+1])
		}
		if stage.last {
			m.out += float64(w.Done) / seconds
		}
		m.failed += float64(w.Failed) / seconds
		m.waiting += float64(w.Waiting)
		m.oldest = max(m.oldest, w.Oldest.Seconds())
		m.busy += w.Busy.Seconds() / seconds
	}
}

// arrivals returns the items a second that came to a stage between the begins of two works.
func arrivals(w, next inspect.Work) float64 {
	came, passed := next.Added+next.Fused-w.Added-w.Fused, next.Start.Sub(w.Start).Seconds()
	if came < 0 || passed <= 0 { // the queue was made again
		return 0
	}
	return float64(came) / passed
}

// chartOf returns a diagram of some values of each moment.
func chartOf(title, unit string, all []*moment, labels []string, values func(*moment) []float64) chart {
	c := chart{Title: title, Unit: unit, Text: "no data yet"}
	lines := make([][]float64, 1+len(labels))
	for i := range lines {
		lines[i] = []float64{} // not nil, which JSON would write as null
	}
	for _, m := range all {
		lines[0] = append(lines[0], float64(m.at.Unix()))
		for i, v := range values(m) {
			lines[i+1] = append(lines[i+1], v)
		}
	}
	if len(all) > 0 {
		c.Text = ""
		for i, v := range values(all[len(all)-1]) {
			if i > 0 {
				c.Text += ", "
			}
			c.Text += labels[i] + " " + amount(v) + unit
		}
	}
	text, err := json.Marshal(struct {
		Labels []string    `json:"labels"`
		Unit   string      `json:"unit"`
		Lines  [][]float64 `json:"lines"`
	}{labels, unit, lines})
	if err != nil {
		return c // numbers are finite
	}
	c.Data = string(text)
	return c
}
