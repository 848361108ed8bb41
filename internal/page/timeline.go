package page

import (
	"hash/fnv"
	"slices"
	"time"
)

// The measures of a timeline, in pixels, and its colours.
const (
	laneHeight    = 18
	timelineWidth = 900
	hues          = 8
)

// A timeline shows the calls of a worker in the last minute, the newest on the right.
type timeline struct {
	Width, Height int
	Bars          []timeBar
	Functions     []legend // in the order of their first call
}

// A timeBar is one call.
type timeBar struct {
	Call        recordedCall
	X, Y, Width int
	Hue         int
	Took        time.Duration
	Long        bool // it has run for longer than the timeline shows
}

// A legend is a function and its colour.
type legend struct {
	Function string
	Hue      int
}

// timelineOf places calls in lanes: each in the first one that is free at its begin.
func timelineOf(now time.Time, calls []recordedCall) timeline {
	t := timeline{Width: timelineWidth}
	calls = slices.Clone(calls)
	slices.SortStableFunc(calls, func(a, b recordedCall) int { return a.Since.Compare(b.Since) })
	var ends []time.Time // of the last call of each lane
	begin := now.Add(-streamSpan)
	for _, c := range calls {
		lane := slices.IndexFunc(ends, func(end time.Time) bool { return !end.After(c.Since) })
		if lane < 0 {
			lane = len(ends)
			ends = append(ends, time.Time{})
		}
		ends[lane] = c.Seen
		from, to := max(0, c.Since.Sub(begin)), max(0, c.Seen.Sub(begin))
		b := timeBar{Call: c, X: pixels(from), Y: lane * laneHeight, Hue: t.hue(c.Function), Took: c.Seen.Sub(c.Since), Long: c.Since.Before(begin)}
		b.Width = max(3, pixels(to)-b.X)
		t.Bars = append(t.Bars, b)
	}
	t.Height = len(ends) * laneHeight
	return t
}

func pixels(d time.Duration) int { return int(timelineWidth * d / streamSpan) }

// hue returns the number of the colour of a function: one that its name gives, or the next that no
// other function has.
func (t *timeline) hue(function string) int {
	used := map[int]bool{}
	for _, l := range t.Functions {
		if l.Function == function {
			return l.Hue
		}
		used[l.Hue] = true
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(function)) // it never fails
	hue := int(h.Sum32() % hues)
	for range hues {
		if !used[hue] {
			break
		}
		hue = (hue + 1) % hues
	}
	t.Functions = append(t.Functions, legend{function, hue})
	return hue
}
