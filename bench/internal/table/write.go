package table

import (
	"fmt"
	"io"

	"github.com/dqbridge/dqbridge/bench/internal/text"
)

// Write writes two tables: throughput, and all other columns.
func Write(w io.Writer, lines []Line) error {
	rates := [][]string{{"two stages of ints", "items/s", "min-max", "of channels", "of hand", "of hand-channels", "in order", "allocs/item", "commands/item", "scripts/item"}}
	rest := [][]string{{"", "p50 ms", "p99 ms", "p50 of hand", "single items", "bytes/queued int", "idle commands/s", "idle CPU", "of Redis", "us/item", "of Redis", "user lines"}}
	for _, l := range lines {
		rates = append(rates, []string{
			l.Title, text.Thousands(l.PerSecond), text.Short(l.Min) + "-" + text.Short(l.Max), significant(l.OfChannels),
			significant(l.OfHand), significant(l.OfHandChannels), yes(l.Ordered), text.Significant(l.Allocs),
			text.Optional("%.4f", l.Commands), text.Optional("%.5f", l.Scripts),
		})
		rest = append(rest, []string{
			l.Title, significant(l.P50), significant(l.P99), significant(l.P50OfHand), trips(l),
			text.Optional("%.1f", l.Queued), text.Optional("%.1f", l.Idle), percent(l.IdleCPU), percent(l.IdleRedisCPU),
			text.Significant(l.CPU), significant(l.RedisCPU), fmt.Sprint(l.Lines),
		})
	}
	if err := text.Grid(w, rates); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return text.Grid(w, rest)
}

func significant(v *float64) string {
	if v == nil {
		return "-"
	}
	return text.Significant(*v)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100**v)
}

func trips(l Line) string {
	if l.P50 == nil {
		return "-"
	}
	return fmt.Sprint(l.Trips)
}

func yes(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
