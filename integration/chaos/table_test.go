package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A row is the result of one scenario.
type row struct {
	title   string
	strikes int
	verdict verdict
	took    time.Duration
	pauses  []time.Duration // sorted
}

func (r row) String() string {
	v := r.verdict
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %.0f | %s | %s |", r.title, r.strikes, v.items,
		v.lost+v.wrong+v.unseen, v.doubled, v.disordered, v.extra, r.took.Seconds(), seconds(r.pauses, 0.5), seconds(r.pauses, 1))
}

func seconds(sorted []time.Duration, quantile float64) string {
	if len(sorted) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", sorted[int(quantile*float64(len(sorted)-1))].Seconds())
}

type table []row

func (t table) String() string {
	var text strings.Builder
	text.WriteString("| event | times | items | lost | double | out of order | extra runs | seconds | pause, median | pause, worst |\n")
	text.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range t {
		if r.title != "" {
			fmt.Fprintln(&text, r)
		}
	}
	return text.String()
}

// pauses returns, for each fault, the longest time without a result until the next fault.
func (c *checker) pauses() []time.Duration {
	slices.Sort(c.takes)
	var pauses []time.Duration
	for i, strike := range c.strikes {
		before, longest := strike, int64(0)
		from, _ := slices.BinarySearch(c.takes, strike)
		for _, take := range c.takes[from:] {
			longest = max(longest, take-before)
			if before = take; i+1 < len(c.strikes) && take > c.strikes[i+1] {
				break
			}
		}
		pauses = append(pauses, time.Duration(longest))
	}
	slices.Sort(pauses)
	return pauses
}
