package page

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// The size of a diagram of times, and the most bars in it.
const (
	histogramWidth, histogramHeight = 320.0, 90.0
	mostBars                        = 40
)

// A histogram is a diagram of times: how many items took how long. Its axis is logarithmic.
type histogram struct {
	Title     string
	Without   string // text of a diagram without items
	Count     int64
	Low, High time.Duration // ends of the axis
	Bars      []histogramBar
	Values    []histogramValue
}

// A histogramBar is the items between two times.
type histogramBar struct {
	X, Y, Width, Height string
	From, To            time.Duration
	Count               int64
}

// A histogramValue is a time with its name, and its place in the diagram. Without a place it has no line.
type histogramValue struct {
	Name string
	Time time.Duration
	X    string
}

// histogramsOf returns the diagrams of a stage: of the calls, and of the waits.
func histogramsOf(st inspect.Stage) []histogram {
	calls := histogram{Title: "Time of an item", Without: "No item is done."}
	if st.P95 != nil && st.Max != nil {
		calls.draw(st.Times)
		calls.mark(st.P50, *st.P95, st.P99, *st.Max)
		calls.Values = append(calls.Values, histogramValue{Name: "mean", Time: st.Cost})
	}
	waits := histogram{Title: "Wait in the queue", Without: "No worker has reported it: all items come past the queue, or no item has come."}
	if w := st.Wait; w != nil {
		waits.draw(w.Times)
		waits.mark(w.P50, w.P95, w.P99, w.Max)
		waits.Values = append(waits.Values, histogramValue{Name: "mean", Time: w.Sum / time.Duration(w.Count)})
	}
	return []histogram{calls, waits}
}

// draw makes the bars, each of one bucket or of several.
func (s *histogram) draw(times []inspect.Bucket) {
	if len(times) == 0 {
		return
	}
	first, last := quarters(times[0].UpperSeconds)-1, quarters(times[len(times)-1].UpperSeconds)
	step := (last - first + mostBars - 1) / mostBars
	sums := make([]int64, (last-first+step-1)/step)
	var most int64
	for _, b := range times {
		at := (quarters(b.UpperSeconds) - 1 - first) / step
		sums[at] += b.Count
		most, s.Count = max(most, sums[at]), s.Count+b.Count
	}
	s.Low, s.High = secondsOf(first), secondsOf(first+len(sums)*step)
	width := histogramWidth / float64(len(sums))
	for i, n := range sums {
		if n == 0 {
			continue
		}
		height := max(2, histogramHeight*float64(n)/float64(most)) // a bar of few items is seen
		s.Bars = append(s.Bars, histogramBar{
			X: point(float64(i)*width + width*0.06), Y: point(histogramHeight - height), Width: point(width * 0.88), Height: point(height),
			From: secondsOf(first + i*step), To: secondsOf(first + (i+1)*step), Count: n,
		})
	}
}

// mark adds the quantiles, with lines for all but the longest time.
func (s *histogram) mark(p50, p95, p99, longest time.Duration) {
	for i, v := range []histogramValue{{Name: "p50", Time: p50}, {Name: "p95", Time: p95}, {Name: "p99", Time: p99}, {Name: "max", Time: longest}} {
		if span := math.Log(s.High.Seconds() / s.Low.Seconds()); i < 3 && span > 0 {
			v.X = point(histogramWidth * min(1, max(0, math.Log(v.Time.Seconds()/s.Low.Seconds())/span)))
		}
		s.Values = append(s.Values, v)
	}
}

// quarters returns the exponent of a bound, which is a power of 2^(1/4).
func quarters(seconds float64) int { return int(math.Round(4 * math.Log2(seconds))) }

// secondsOf returns the bound with an exponent, at least a nanosecond.
func secondsOf(exponent int) time.Duration {
	return max(1, time.Duration(math.Exp2(float64(exponent)/4)*float64(time.Second)))
}

func point(at float64) string { return strconv.FormatFloat(at, 'f', 1, 64) }

// batchSize returns the mean number of items of a call, a dash if it is not known.
func batchSize(n *float64) string {
	switch {
	case n == nil:
		return "–"
	case *n < 10:
		return fmt.Sprintf("%.1f", *n)
	}
	return number(int64(math.Round(*n)))
}
