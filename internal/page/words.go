package page

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/url"
	"strconv"
	"strings"

	"github.com/dqbridge/dqbridge/inspect"
)

// A navEntry is a link at the top of each page.
type navEntry struct{ Key, Label, Path string }

func (p *Page) nav() []navEntry {
	entries := []navEntry{
		{"flows", "Flows", "/"}, {"queues", "Queues", "/queues"}, {"workers", "Workers", "/workers"}, {"errors", "Errors", "/errors"},
		{"dead", "Dead letters", "/dead"}, {"where", "Where", "/where"}, {"redis", "Redis", "/redis"},
	}
	if p.Operator != nil {
		entries = append(entries, navEntry{"acts", "Actions", "/acts"})
	}
	return entries
}

// shapes lists the symbol and colour of each state.
var shapes = map[string]string{
	"running": "running", "live": "running", "up": "running", "held": "running",
	"stuck": "stuck", "dead": "stuck", "broken": "stuck", "away": "stuck", "cut": "stuck", "fail": "stuck", "silent": "stuck", "suspect": "stuck", "gone": "stuck",
	"paused": "paused", "draining": "paused",
	"late": "late", "full": "late", "window": "late", "warn": "late", "reader": "late", "missing": "late", "delayed": "late", "moving": "late",
	"waiting": "waiting", "requeued": "waiting",
	"done": "done", "ended": "done", "delivered": "done", "ok": "done",
	"open": "open", "sealed": "idle", "idle": "idle", "skipped": "idle",
}

// shape returns the symbol of a state.
func shape(state any) string { return cmp.Or(shapes[fmt.Sprint(state)], "dot") }

// short cuts a text for a box of a drawing.
func short(s string, most int) string {
	runes := []rune(clean(s, maxName))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:most-1]) + "…"
}

// some returns the first three of several names.
func some(names []string) string {
	text := strings.Join(names[:min(3, len(names))], ", ")
	if more := len(names) - 3; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return clean(text, maxName)
}

// known returns a number that is -1 if it is not known.
func known(n int64) string {
	if n < 0 {
		return "–"
	}
	return number(n)
}

// atLeast returns a number of items of a queue, and says if there may be more.
func atLeast(q inspect.Queue, n int64) string {
	if q.AtLeast && n > 0 {
		return "≥ " + number(n)
	}
	return number(n)
}

// consumer returns the consumer of a queue for people.
func consumer(q inspect.Queue) string {
	switch {
	case q.Gather != nil && q.Gather.State == inspect.Live:
		return "gather " + process(q.Gather)
	case q.Gather != nil:
		return "gather " + process(q.Gather) + " " + clean(q.Gather.State, maxName)
	case q.Consumer == "":
		return "none"
	default:
		return clean(strings.Replace(q.Consumer, ":", " ", 1), maxName)
	}
}

// amount returns a value of a chart.
func amount(v float64) string {
	if v >= 100 || v == float64(int64(v)) {
		return number(int64(v + 0.5))
	}
	return fmt.Sprintf("%.1f", v)
}

// rangedCharts are charts with the addresses of both times.
type rangedCharts struct {
	Range, Short, Long string
	Charts             []chart
}

func ranges(length string, charts []chart, at string) rangedCharts {
	var q url.Values
	if u, err := url.Parse(at); err == nil {
		q = u.Query()
	}
	return rangedCharts{length, with(q, "range", ""), with(q, "range", "1h"), charts}
}

// words returns the functions of the templates that name and describe records.
func (p *Page) words() map[string]any {
	return map[string]any{
		"nav": p.nav, "shape": shape, "short": short, "some": some, "known": known, "atleast": atLeast, "consumer": consumer, "process": process, "host": func(by inspect.Process) string { return process(&by) },
		"busy": busy, "fill": fill, "ranges": ranges, "num64": number[int], "bytes64": func(n int) string { return byteSize(int64(n)) },
		"control": controlOf, "dict": dict, "tag": tag,
	}
}

// dict returns names and values as the data of a template.
func dict(pairs ...any) map[string]any {
	all := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return all
}

// tag returns an id for an element of a page, which is the same for the same texts.
func tag(texts ...string) string {
	h := fnv.New64a()
	for _, text := range texts {
		_, _ = h.Write([]byte(text + "\x00")) // it never fails
	}
	return "e" + strconv.FormatUint(h.Sum64(), 36)
}
