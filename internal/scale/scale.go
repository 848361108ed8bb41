// Package scale computes how many workers a pool should have: enough to keep up with the items that
// arrive, and to finish those that wait within a target time.
package scale

import (
	"fmt"
	"math"
	"time"

	"github.com/dqbridge/dqbridge/internal/watch"
)

// Options describe a pool: the workers that have the same functions.
type Options struct {
	Functions   []string      // that the workers have; none: all functions
	Slots       int           // of a worker; 0: those of the present workers
	Target      time.Duration // in which an item should be finished after its arrival; 0: 30 s
	Utilisation float64       // part of its slots that the pool may need for steady arrivals; 0: 0.9
	Min         int           // workers at least
	Max         int           // workers at most; 0: no bound
	Idle        time.Duration // without items, after which the pool may have no worker; 0: 5 minutes
}

// The default options.
const (
	DefaultTarget      = 30 * time.Second
	DefaultUtilisation = 0.9
	DefaultIdle        = 5 * time.Minute
)

// Check returns an error for options that no pool can have.
func (o Options) Check() error {
	switch {
	case o.Slots < 0:
		return fmt.Errorf("slots %d: give the number of slots of a worker, 1 or more", o.Slots)
	case o.Target < 0:
		return fmt.Errorf("target %v: give the time in which an item should be finished, such as 60s", o.Target)
	case o.Utilisation < 0 || o.Utilisation > 1 || math.IsNaN(o.Utilisation):
		return fmt.Errorf("utilisation %v: give a part of 1, such as 0.9", o.Utilisation)
	case o.Min < 0:
		return fmt.Errorf("min %d: give the least number of workers, 0 or more", o.Min)
	case o.Max < 0:
		return fmt.Errorf("max %d: give the largest number of workers, or 0 for no bound", o.Max)
	case o.Max > 0 && o.Max < o.Min:
		return fmt.Errorf("max %d is less than min %d: give a larger max", o.Max, o.Min)
	case o.Idle < 0:
		return fmt.Errorf("idle %v: give the time without items after which the workers may end, such as 5m", o.Idle)
	}
	return nil
}

// filled returns the options with their defaults.
func (o Options) filled(p *pool) Options {
	if o.Target == 0 {
		o.Target = DefaultTarget
	}
	if o.Utilisation == 0 {
		o.Utilisation = DefaultUtilisation
	}
	if o.Idle == 0 {
		o.Idle = DefaultIdle
	}
	if o.Slots == 0 {
		o.Slots = max(1, p.slots/max(1, p.live))
	}
	return o
}

// workers returns the workers that have a number of slots.
func (o Options) workers(slots float64) int { return int(math.Ceil(slots/float64(o.Slots) - 1e-9)) }

// A Decision is the number of workers that a pool should have, and how it came about.
type Decision struct {
	At      time.Time `json:"at"`      // of the snapshot behind it, by the clock of Redis
	Workers int       `json:"workers"` // that the pool should have
	Live    int       `json:"live"`    // that it has
	Slots   float64   `json:"slots"`   // that it should have
	Load    float64   `json:"load"`    // of these, slots for the items that arrive
	Drain   float64   `json:"drain"`   // slots for the items that wait
	Hung    int       `json:"hung"`    // slots for calls that seem to hang, and so do no work
	// LimitedBy is what keeps the number from following the items, "" if nothing does.
	LimitedBy string        `json:"limited_by,omitempty"`
	Backlog   int64         `json:"backlog"`   // items of the pool that are not finished
	Oldest    time.Duration `json:"oldest_ns"` // age of the oldest that waits
	Why       string        `json:"why"`       // the same as a sentence

	memory memory
}

// What limits a Decision.
const (
	ByMax      = "max"      // the number is the largest that the options allow
	ByReader   = "reader"   // a queue behind the pool is full: further workers would wait for room
	ByFailures = "failures" // most items fail: further workers would fail more of them
	ByRedis    = "redis"    // Redis is busy: further workers would make it slower
	ByOutage   = "outage"   // Redis does not answer
	ByLimit    = "limit"    // the limits of stages let no more calls begin: further workers would wait
	ByPause    = "pause"    // stages with waiting items are paused
)

// Limits of Decide.
const (
	window    = 30 * time.Second // in which arrivals are counted
	busyRedis = 0.9              // part of the time of its main thread
	failing   = 0.5              // part of the attempts
	fewTries  = 10               // attempts, below which the part that fails says little
	soonest   = 0.5              // part of the target in which waiting items are finished at the earliest
	longCall  = time.Second      // for which a call runs before its worker has to stay
	guessed   = time.Second      // time of an item of a stage that has finished none
	drained   = 0.1              // part of the slots for items that wait, below which few wait
	fullPart  = 0.1              // part of the time without room from which a queue limits its stage
)

// Decide returns how many workers a pool should have in a view. last is the Decision for an earlier
// view, and the zero value if there is none. While the view is not up to date, or more workers would not
// help, it holds the number of last, or of the workers that the pool has.
func Decide(v watch.View, o Options, last Decision) Decision {
	p := poolOf(&v.Snapshot, o.Functions)
	o = o.filled(p)
	if v.Err != nil || v.At.IsZero() {
		return held(p, o, last, ByOutage, "Redis does not answer")
	}
	d := Decision{At: v.Snapshot.At, Live: p.live, Backlog: p.items(), Oldest: p.oldest()}
	p.count(o, last, &d)
	d.memory.active = latest(last.memory.active, p.active())
	d.memory.tries = p.tries(last.memory.tries)
	d.Workers = o.workers(d.Slots)
	switch idle := d.At.Sub(d.memory.active); {
	case d.Backlog > 0:
		d.memory.active, d.Workers = d.At, max(1, d.Workers)
	case idle < o.Idle:
		d.Workers = max(1, d.Workers)
	default:
		d.Workers, d.Slots = 0, 0
	}
	d.steady(o)
	d.Why = d.sentence(o)
	switch {
	case d.Backlog > 0 && d.memory.failing():
		d.hold(last, ByFailures, "most items fail")
	case d.Backlog > 0 && v.Snapshot.Redis.Busy >= busyRedis:
		d.hold(last, ByRedis, "Redis is busy")
	}
	d.clamp(o)
	return d
}

// held returns the Decision for a view that is not up to date.
func held(p *pool, o Options, last Decision, by, why string) Decision {
	d := last
	d.Live = p.live
	d.hold(last, by, why)
	d.clamp(o)
	return d
}

// hold keeps the number of workers.
func (d *Decision) hold(last Decision, by, why string) {
	d.Workers, d.LimitedBy = d.Live, by
	if !last.At.IsZero() {
		d.Workers = last.Workers
	}
	d.Why = fmt.Sprintf("%s: the number stays at %d", why, d.Workers)
}

// steady lets the number fall only to the largest wish of the last minute, and if few items wait, to the
// largest one without those that waited. A pool without items falls at once: it has waited for that.
func (d *Decision) steady(o Options) {
	d.memory.wish(d.Workers, o.workers(d.Slots-min(d.Slots, d.Drain)))
	workers, lasting := d.memory.largest(d.At)
	switch {
	case d.Workers == 0:
	case d.Drain < drained*d.Slots:
		d.Workers = max(d.Workers, lasting)
	default:
		d.Workers = max(d.Workers, workers)
	}
}

// clamp keeps the bounds of the options.
func (d *Decision) clamp(o Options) {
	d.Workers = max(d.Workers, o.Min)
	if o.Max > 0 && d.Workers > o.Max {
		d.Workers, d.LimitedBy = o.Max, ByMax
		d.Why += fmt.Sprintf("; at most %d", o.Max)
	}
}

// sentence says how the number came about.
func (d *Decision) sentence(o Options) string {
	switch {
	case d.Workers == 0:
		return fmt.Sprintf("no item for %v", o.Idle)
	case d.Backlog == 0 && d.Slots == 0:
		return fmt.Sprintf("no item now; a worker stays for %v after the last one", o.Idle)
	}
	text := fmt.Sprintf("%.1f slots for the items that arrive, %.1f to finish those that wait within %v", d.Load, d.Drain, o.Target)
	if d.Hung > 0 {
		text += fmt.Sprintf(", %d for calls that seem to hang", d.Hung)
	}
	return text + fmt.Sprintf("; %d slots a worker", o.Slots)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
