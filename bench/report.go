package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is what -json prints. A part that -only left out is named in
// LeftOut and null.
type report struct {
	Go         string       `json:"go"`
	Redis      string       `json:"redis"`
	Processors int          `json:"processors"`
	Runs       int          `json:"runs"`
	Items      int          `json:"items"` // of a run
	Throughput []throughput `json:"throughput"`
	Latency    []latency    `json:"latency"`
	Sleep      []sleeps     `json:"sleep"`
	Idle       []idle       `json:"idle"`
	LeftOut    []string     `json:"left_out"`
	Seconds    float64      `json:"seconds"` // that it took
}

// throughput is the median of all runs; what counts items is for one item.
type throughput struct {
	Name       string   `json:"name"`
	PerSecond  float64  `json:"items_per_second"`
	Min        float64  `json:"min"`
	Max        float64  `json:"max"`
	OfChannels *float64 `json:"of_channels"` // null: not measured in this run
	OfHand     *float64 `json:"of_hand"`
	Allocs     float64  `json:"allocs_per_item"`
	Commands   *float64 `json:"commands_per_item"` // null: no Redis to ask
	Scripts    *float64 `json:"scripts_per_item"`  // calls of scripts, which are among the commands

	part string
	runs []pass
}

type latency struct {
	Name  string  `json:"name"`
	Items int     `json:"items"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`

	OfHand *float64 `json:"p50_of_hand"`

	part string
	took []time.Duration
}

type sleeps struct {
	Name    string  `json:"name"`
	Items   int     `json:"items"`
	Hands   int     `json:"hands"`
	Seconds float64 `json:"seconds"`
}

// idle is for a second.
type idle struct {
	Name     string  `json:"name"`
	CPU      float64 `json:"process_cpu"`
	RedisCPU float64 `json:"redis_cpu"`
	Commands float64 `json:"commands_per_second"`
}

func newReport(s settings, redis string) *report {
	r := &report{
		Go: runtime.Version(), Redis: redis, Processors: runtime.GOMAXPROCS(0), Runs: s.runs, Items: s.items, LeftOut: []string{},
	}
	for _, part := range parts {
		if !slices.Contains(s.only, part) {
			r.LeftOut = append(r.LeftOut, part)
		}
	}
	return r
}

func (r *report) throughputOf(part string) *throughput {
	if i := slices.IndexFunc(r.Throughput, func(t throughput) bool { return t.part == part }); i >= 0 {
		return &r.Throughput[i]
	}
	return nil
}

func (r *report) latencyOf(part string) *latency {
	if i := slices.IndexFunc(r.Latency, func(l latency) bool { return l.part == part }); i >= 0 {
		return &r.Latency[i]
	}
	return nil
}

// finish makes figures of what was measured.
func (r *report) finish() {
	for i := range r.Throughput {
		t := &r.Throughput[i]
		rate := values(t.runs, func(p pass) float64 { return p.perSecond })
		t.PerSecond, t.Min, t.Max = median(rate), slices.Min(rate), slices.Max(rate)
		t.Allocs = median(values(t.runs, func(p pass) float64 { return p.allocs }))
		if t.part == partHand || t.part == partRedis {
			commands := median(values(t.runs, func(p pass) float64 { return p.commands }))
			scripts := median(values(t.runs, func(p pass) float64 { return p.scripts }))
			t.Commands, t.Scripts = &commands, &scripts
		}
	}
	channels, hand := r.throughputOf(partChannels), r.throughputOf(partHand)
	for i := range r.Throughput {
		t := &r.Throughput[i]
		if channels != nil {
			t.OfChannels = ratio(t.PerSecond, channels.PerSecond)
		}
		if hand != nil {
			t.OfHand = ratio(t.PerSecond, hand.PerSecond)
		}
	}
	for i := range r.Latency {
		l := &r.Latency[i]
		slices.Sort(l.took)
		l.Items, l.P50, l.P99 = len(l.took), percentile(l.took, 50), percentile(l.took, 99)
		if hand := r.latencyOf(partHand); hand != nil { // stands before all others
			l.OfHand = ratio(l.P50, hand.P50)
		}
	}
}

func ratio(a, b float64) *float64 {
	q := a / b
	return &q
}

func values(runs []pass, f func(pass) float64) []float64 {
	list := make([]float64, len(runs))
	for i, p := range runs {
		list[i] = f(p)
	}
	return list
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// percentile is in milliseconds; the list is sorted.
func percentile(list []time.Duration, p int) float64 {
	return float64(list[min(len(list)*p/100, len(list)-1)]) / float64(time.Millisecond)
}

// write prints the tables.
func (r *report) write(out io.Writer) error {
	var text []byte
	add := func(format string, args ...any) { text = fmt.Appendf(text, format, args...) }
	add("%s, Redis %s, %d processors; the median of %d runs in turns, %s ints a run through inc and double\n",
		r.Go, r.Redis, r.Processors, r.Runs, thousands(float64(r.Items)))
	if len(r.Throughput) > 0 {
		add("\n%s\titems/s\tmin-max\tof channels\tof by hand\tallocs/item\tRedis commands/item\tof them scripts\t\n", title("throughput"))
		for _, t := range r.Throughput {
			add("%s\t%s\t%s-%s\t%s\t%s\t%.4f\t%s\t%s\t\n", title(t.Name), thousands(t.PerSecond), millions(t.Min), millions(t.Max),
				optional("%.2f", t.OfChannels), optional("%.2f", t.OfHand), t.Allocs, optional("%.4f", t.Commands), optional("%.5f", t.Scripts))
		}
	}
	if len(r.Latency) > 0 {
		add("\n%s\titems\tp50 ms\tp99 ms\tp50 of by hand\t\n", title("one item at a time"))
		for _, l := range r.Latency {
			add("%s\t%d\t%.3f\t%.3f\t%s\t\n", title(l.Name), l.Items, l.P50, l.P99, optional("%.2f", l.OfHand))
		}
	}
	if len(r.Sleep) > 0 {
		add("\n%s\titems\thands\tseconds\t\n", title("sleep 1s"))
		for _, s := range r.Sleep {
			add("%s\t%d\t%d\t%.2f\t\n", title(s.Name), s.Items, s.Hands, s.Seconds)
		}
	}
	if len(r.Idle) > 0 {
		add("\n%s\tCPU of the process\tof Redis\tRedis commands/s\t\n", title("idle"))
		for _, i := range r.Idle {
			add("%s\t%.2f %%\t%.2f %%\t%.1f\t\n", title(i.Name), 100*i.CPU, 100*i.RedisCPU, i.Commands)
		}
	}
	if len(r.LeftOut) > 0 {
		add("\nnot measured: %s\n", strings.Join(r.LeftOut, ", "))
	}
	add("\nBy hand: %d ints an entry, an XADD an entry; for latency, one. Redis commands are also those that scripts run.\n"+
		"It took %.0f seconds.\n", handItems, r.Seconds)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Flush()
}

// title is the first cell of a row, which alone is set to the left.
func title(text string) string { return fmt.Sprintf("%-27s", text) }

func optional(format string, v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(format, *v)
}

func millions(v float64) string { return fmt.Sprintf("%.2fM", v/1e6) }

// thousands writes 1234567 as 1,234,567.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	first := cmp.Or(len(digits)%3, 3)
	parts := []string{digits[:first]}
	for i := first; i < len(digits); i += 3 {
		parts = append(parts, digits[i:i+3])
	}
	return strings.Join(parts, ",")
}
