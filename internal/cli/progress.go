package cli

import (
	"fmt"
	"time"
)

// Progress is what a status line tells: how much is done, how fast, and how
// much is on its way.
type Progress struct {
	// Read tells how much went in, nil where that is not known.
	Read func() int64

	marks []mark // the last two seconds, the oldest first
}

type mark struct {
	at   time.Time
	done int64
}

const rateWindow = int(2 * time.Second / redraw)

// ticks tells when to redraw: never where there is no Progress.
func (p *Progress) ticks() *time.Ticker {
	if p == nil {
		never := time.NewTicker(time.Hour)
		never.Stop()
		return never
	}
	p.marks = append(p.marks, mark{at: time.Now()})
	return time.NewTicker(redraw)
}

func (p *Progress) line(done, failed int64) string {
	return p.lineAt(time.Now(), done, failed)
}

func (p *Progress) lineAt(now time.Time, done, failed int64) string {
	rate := 0.0
	if past := now.Sub(p.marks[0].at); past > 0 {
		rate = float64(done-p.marks[0].done) / past.Seconds()
	}
	p.marks = append(p.marks, mark{now, done})
	p.marks = p.marks[max(0, len(p.marks)-rateWindow):]
	text := fmt.Sprintf("%d done, %.0f/s", done, rate)
	if p.Read != nil {
		text += fmt.Sprintf(", %d in flight", max(0, p.Read()-done))
	}
	return text + fmt.Sprintf(", %d failed", failed)
}
