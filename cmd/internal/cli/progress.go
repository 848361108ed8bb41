package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// A Look is the content of a status line.
type Look string

// The contents of a status line.
const (
	Plain    Look = ""
	Bar      Look = "bar"
	ETA      Look = "eta"
	Fraction Look = "progress" // of the total
)

// Progress is a status line with the number of done items, the rate, the items in flight and the
// remaining time.
type Progress struct {
	Look Look
	// Input has the number of sent items; nil: unknown.
	Input *Input
	// Every is the time between two lines of a log; 0: a status line of a terminal.
	Every time.Duration

	begin   time.Time
	samples []sample // of the last two seconds, the oldest first
}

// A sample is the number of done items at a time.
type sample struct {
	at   time.Time
	done int64
}

// rateTime is the time over which the rate of a status line is measured. In a log it is the time
// between two lines, if that is longer.
const rateTime = 2 * time.Second

// LogPace is the time between two lines about the progress in a log.
const LogPace = 10 * time.Second

// interval is the time between two lines.
func (p *Progress) interval() time.Duration { return cmp.Or(p.Every, redraw) }

// ticks returns a ticker for redrawing. The ticker of a nil Progress never fires.
func (p *Progress) ticks() *time.Ticker {
	if p == nil {
		never := time.NewTicker(time.Hour)
		never.Stop()
		return never
	}
	p.begin = time.Now()
	p.samples = append(p.samples, sample{at: p.begin})
	return time.NewTicker(p.interval())
}

// Log writes the number of items to the log, as count returns it, until done is closed. With a nil
// Progress it only waits.
func (p *Progress) Log(console *Console, name string, count func() int64, done <-chan struct{}) {
	tick := p.ticks()
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			n, total := count(), p.total()
			text := fmt.Sprintf("%s, %.0f/s", total.done(n), p.rate(now, n))
			_, _ = fmt.Fprintf(console, "%s: %s%s\n", name, text, p.end(now, n, total)) // an error of stderr does not end the input
		}
	}
}

// show writes the current line: to the log with the name of the command, or as the status line.
func (p *Progress) show(console *Console, name string, done, failed int64) {
	if p.Every > 0 {
		_, _ = fmt.Fprintf(console, "%s: %s\n", name, p.line(done, failed, 0)) // an error of stderr does not end the output
		return
	}
	console.Status(p.line(done, failed, console.Width()))
}

func (p *Progress) line(done, failed int64, width int) string {
	return p.lineAt(time.Now(), done, failed, width)
}

func (p *Progress) lineAt(now time.Time, done, failed int64, width int) string {
	total := p.total()
	speed := fmt.Sprintf("%.0f/s", p.rate(now, done))
	if p.Input != nil && total.exact == 0 {
		speed += fmt.Sprintf(", %d in flight", max(0, p.Input.Sent()-done))
	}
	failures := fmt.Sprintf("%d failed", failed)
	remaining := p.remaining(now, done, total)
	if p.Every > 0 {
		return strings.Join([]string{total.done(done), speed, failures}, ", ") + p.end(now, done, total)
	}
	switch p.Look {
	case Bar:
		return bar(done, total.number(), fmt.Sprintf(" %s, %s, %s", total.done(done), remaining, failures), width)
	case ETA:
		return strings.Join([]string{total.done(done), remaining, speed, failures}, ", ")
	case Fraction:
		return strings.Join([]string{total.done(done), speed, failures}, ", ")
	}
	return fmt.Sprintf("%d done, %s, %s", done, speed, failures)
}

// rate returns the number of items in a second, and records a sample.
func (p *Progress) rate(now time.Time, done int64) float64 {
	rate := 0.0
	if past := now.Sub(p.samples[0].at); past > 0 {
		rate = float64(done-p.samples[0].done) / past.Seconds()
	}
	p.samples = append(p.samples, sample{now, done})
	p.samples = p.samples[max(0, len(p.samples)-max(1, int(rateTime/p.interval()))):]
	return rate
}

// end returns the remaining time for a line of a log, "" if it is not known.
func (p *Progress) end(now time.Time, done int64, total total) string {
	if total.number() == 0 || done == 0 {
		return ""
	}
	return ", " + p.remaining(now, done, total)
}

// remaining returns the text of the remaining time, by the average rate of the run.
func (p *Progress) remaining(now time.Time, done int64, total total) string {
	all, past := total.number(), now.Sub(p.begin)
	if all == 0 || done == 0 {
		return "ETA ?"
	}
	return "ETA " + time.Duration(float64(past)*float64(max(0, all-done))/float64(done)).Round(time.Second).String()
}

// A total is the number of items: exact after the end of the input, and before that an estimate for
// a file.
type total struct{ exact, estimate int64 }

func (p *Progress) total() total {
	if p.Input == nil {
		return total{}
	}
	return p.Input.total()
}

func (t total) number() int64 { return max(t.exact, t.estimate) }

// done returns the text of the number of done items, with the total if it is known.
func (t total) done(n int64) string {
	switch {
	case t.exact > 0:
		return fmt.Sprintf("%d of %d done", n, t.exact)
	case t.estimate > 0:
		return fmt.Sprintf("%d of ~%d done", n, max(n, t.estimate))
	}
	return fmt.Sprintf("%d done", n)
}

// bar returns a progress bar with text after it.
func bar(done, all int64, text string, width int) string {
	if all == 0 {
		return strings.TrimSpace(text)
	}
	share := min(1, float64(done)/float64(all))
	head := fmt.Sprintf("%3.0f%% ", 100*share)
	cells := width - len(head) - len(text) - 2
	if cells < 5 {
		return head + strings.TrimSpace(text)
	}
	full := int(share * float64(cells))
	return head + "[" + strings.Repeat("#", full) + strings.Repeat(" ", cells-full) + "]" + text
}
