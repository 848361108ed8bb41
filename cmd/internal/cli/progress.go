package cli

import (
	"fmt"
	"strings"
	"time"
)

// A Look is what a status line shows.
type Look string

// The looks.
const (
	Plain    Look = ""
	Bar      Look = "bar"
	ETA      Look = "eta"
	Fraction Look = "progress" // of the total
)

// Progress is a status line: how much is done, how fast, how much is on its way, and how long it takes.
type Progress struct {
	Look Look
	// Input tells how much went in, nil if that is not known.
	Input *Input

	begin time.Time
	marks []mark // the last two seconds, the oldest first
}

type mark struct {
	at   time.Time
	done int64
}

const rateWindow = int(2 * time.Second / redraw)

// ticks is the time to redraw: never if there is no Progress.
func (p *Progress) ticks() *time.Ticker {
	if p == nil {
		never := time.NewTicker(time.Hour)
		never.Stop()
		return never
	}
	p.begin = time.Now()
	p.marks = append(p.marks, mark{at: p.begin})
	return time.NewTicker(redraw)
}

func (p *Progress) line(done, failed int64, width int) string {
	return p.lineAt(time.Now(), done, failed, width)
}

func (p *Progress) lineAt(now time.Time, done, failed int64, width int) string {
	rate := 0.0
	if past := now.Sub(p.marks[0].at); past > 0 {
		rate = float64(done-p.marks[0].done) / past.Seconds()
	}
	p.marks = append(p.marks, mark{now, done})
	p.marks = p.marks[max(0, len(p.marks)-rateWindow):]
	total := p.total()
	speed := fmt.Sprintf("%.0f/s", rate)
	if p.Input != nil && total.exact == 0 {
		speed += fmt.Sprintf(", %d in flight", max(0, p.Input.Read()-done))
	}
	failures := fmt.Sprintf("%d failed", failed)
	left := p.left(now, done, total)
	switch p.Look {
	case Bar:
		return bar(done, total.number(), fmt.Sprintf(" %s, %s, %s", total.of(done), left, failures), width)
	case ETA:
		return strings.Join([]string{total.of(done), left, speed, failures}, ", ")
	case Fraction:
		return strings.Join([]string{total.of(done), speed, failures}, ", ")
	}
	return fmt.Sprintf("%d done, %s, %s", done, speed, failures)
}

// left says how long it takes, at the speed of the whole run.
func (p *Progress) left(now time.Time, done int64, total total) string {
	all, past := total.number(), now.Sub(p.begin)
	if all == 0 || done == 0 {
		return "ETA ?"
	}
	return "ETA " + time.Duration(float64(past)*float64(max(0, all-done))/float64(done)).Round(time.Second).String()
}

// A total is a number of items: exact once the input was read to its end, and before that what a file seems to have.
type total struct{ exact, estimate int64 }

func (p *Progress) total() total {
	if p.Input == nil {
		return total{}
	}
	return p.Input.total()
}

func (t total) number() int64 { return max(t.exact, t.estimate) }

// of is a number of items out of all.
func (t total) of(done int64) string {
	switch {
	case t.exact > 0:
		return fmt.Sprintf("%d of %d done", done, t.exact)
	case t.estimate > 0:
		return fmt.Sprintf("%d of ~%d done", done, max(done, t.estimate))
	}
	return fmt.Sprintf("%d done", done)
}

// bar is a picture of a share, with text behind it.
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
