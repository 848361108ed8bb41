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
		works := h.Seconds[max(0, len(h.Seconds)-30):]
		if length == "1h" {
			works = h.Minutes
		}
		addMoments(moments, works, st, stages)
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

// addMoments adds the work on one stage to that of others at the same times.
func addMoments(moments map[int64]*moment, works []inspect.Work, st inspect.Stage, stages []inspect.Stage) {
	first, last := isFirst(st, stages), isLast(st, stages)
	var before int64
	for i, w := range works {
		key := w.Start.Unix()
		m := moments[key]
		if m == nil {
			m = &moment{at: w.Start}
			moments[key] = m
		}
		seconds := cmp.Or(w.Length.Seconds(), 1)
		came := w.Added + w.Fused
		if first && i > 0 && came >= before {
			m.in += float64(came-before) / seconds
		}
		before = came
		if last {
			m.out += float64(w.Done) / seconds
		}
		m.failed += float64(w.Failed) / seconds
		m.waiting += float64(w.Waiting)
		m.oldest = max(m.oldest, w.Oldest.Seconds())
		m.busy += w.Busy.Seconds() / seconds
	}
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
