package chaos

import (
	"fmt"
	"slices"
)

// stages is the number of functions of a flow.
const stages = 2

// A checker combines the ledgers of a run. docs/reliability.md has the numbers of the invariants.
type checker struct {
	sources map[uint16]*history
	gathers []reading
	closes  []int64 // times at which channels were closed
	strikes []int64 // times of the faults
	takes   []int64 // times at which results were taken, of all gathers
	peaks   peaks
	hurt    map[string]bool // ledgers of processes that were killed, stopped or declared dead
	verdict verdict
}

// A history is the record of one source.
type history struct {
	intended, stored int64 // numbers of items
	end, endAt       int64 // -1 until it has ended
	runs             [stages][]uint8
	unhurt           [stages][]uint8 // those of runs in workers without a fault
	results          []uint8
}

// A reading is the part of one source that one gather process took.
type reading struct {
	source      uint16
	first, last int64
	whole       bool // the process ended normally
}

// A verdict is the result of a run. Figures are numbers of items.
type verdict struct {
	items, lost, doubled, disordered, wrong int64
	told                                    int64 // lost items, according to their errors
	extra                                   int64 // runs of a function after the first one
	again                                   int64 // also taken by a second gather process
	unseen                                  int64 // held by a gather that was killed
	breaches                                []string
}

// bounds are the allowed effects of a run.
type bounds struct { // runs after the first one, for each item and function
	extra       int64    // runs beyond the first of each item and function
	again       bool     // also in workers without a fault: Redis forgets the completions
	left        []string // keys that may be left
	cut         int      // sources that may lack an end
	told        int64    // items that may be lost, if errors report them
	interrupted int64    // items that a killed gather may have held
	use         int64    // KiB of memory of a process, and of Redis
}

func newChecker() *checker { return &checker{sources: map[uint16]*history{}, hurt: map[string]bool{}} }

func (c *checker) history(source uint16) *history {
	h := c.sources[source]
	if h == nil {
		h = &history{end: -1}
		c.sources[source] = h
	}
	return h
}

func (c *checker) breach(invariant, format string, args ...any) {
	if len(c.verdict.breaches) < 20 {
		c.verdict.breaches = append(c.verdict.breaches, invariant+": "+fmt.Sprintf(format, args...))
	}
}

func count(counts []uint8, offset int64) []uint8 {
	for int64(len(counts)) <= offset {
		counts = append(counts, make([]uint8, offset+1)...)
	}
	if counts[offset] < 255 {
		counts[offset]++
	}
	return counts
}

func at(counts []uint8, offset int64) uint8 {
	if offset >= int64(len(counts)) {
		return 0
	}
	return counts[offset]
}

// read adds the ledger of one process. Those of gathers are added in the order of their start.
func (c *checker) read(name string, records []record) {
	readings := map[uint16]*reading{}
	over := false
	for _, r := range records {
		h := c.history(r.source)
		switch r.event {
		case intended:
			h.intended = max(h.intended, r.offset+1)
		case kept:
			h.stored = max(h.stored, r.offset)
		case ended:
			h.end, h.endAt = r.offset, r.at
		case ran:
			h.runs[r.stage] = count(h.runs[r.stage], r.offset)
			if !c.hurt[name] {
				h.unhurt[r.stage] = count(h.unhurt[r.stage], r.offset)
			}
		case got, failed:
			if over {
				c.breach("I5", "source %d item %d came behind the end", r.source, r.offset)
			}
			c.take(readings, h, r)
		case lost:
			c.verdict.told++
		case alien:
			c.verdict.wrong++
			c.breach("I4", "something was taken that is the result of no item")
		case closed:
			c.closes, over = append(c.closes, r.at), true
		case broken:
			over = true
		case struck:
			c.strikes = append(c.strikes, r.at)
		}
	}
	for _, reading := range readings {
		reading.whole = over
		c.gathers = append(c.gathers, *reading)
	}
}

func (c *checker) take(readings map[uint16]*reading, h *history, r record) {
	c.takes = append(c.takes, r.at)
	if r.event == failed {
		c.verdict.wrong++
		c.breach("I4", "source %d item %d has an error in its place", r.source, r.offset)
	}
	h.results = count(h.results, r.offset)
	own := readings[r.source]
	if own == nil {
		readings[r.source] = &reading{source: r.source, first: r.offset, last: r.offset}
		return
	}
	switch {
	case r.offset == own.last:
		c.verdict.doubled++
		c.breach("I1", "source %d item %d came twice", r.source, r.offset)
	case r.offset < own.last:
		c.verdict.disordered++
		c.breach("I3", "source %d item %d came behind item %d", r.source, r.offset, own.last)
	}
	own.last = max(own.last, r.offset)
}

// check lists the broken promises. left are the keys in Redis after the run.
func (c *checker) check(allowed bounds, left []string) verdict {
	delete(c.sources, 0) // faults have no source
	open := 0
	for number, h := range c.sources {
		c.verdict.items += h.intended
		if h.end < 0 {
			open++
		}
		c.checkItems(number, h)
		if !allowed.again {
			c.checkRuns(number, h)
		}
	}
	c.checkEnd(open, allowed)
	c.handovers()
	if c.verdict.extra > allowed.extra {
		c.breach("I8", "%d runs of functions beyond the first of each item, at most %d can be explained", c.verdict.extra, allowed.extra)
	}
	if c.verdict.told > allowed.told || c.verdict.told > c.verdict.lost {
		c.breach("I1", "%d items are told to be lost, %d are, %d may be", c.verdict.told, c.verdict.lost, allowed.told)
	}
	if c.verdict.unseen > allowed.interrupted {
		c.breach("I1", "%d stored items have no result, where %d gathers were killed", c.verdict.unseen, allowed.interrupted)
	}
	for _, key := range left {
		if !slices.Contains(allowed.left, key) {
			c.breach("I6", "the key %s is left", key)
		}
	}
	if most := max(c.peaks.process, c.peaks.redis); most > allowed.use {
		c.breach("I9", "%d KiB of memory were used, %d may be", most, allowed.use)
	}
	return c.verdict
}

func (c *checker) checkItems(number uint16, h *history) {
	if h.end >= 0 && (h.stored != h.end || h.end > h.intended) {
		c.breach("I1", "source %d: %d sent, %d stored, ended at %d", number, h.intended, h.stored, h.end)
	}
	for i := range max(h.intended, int64(len(h.results))) {
		results := at(h.results, i)
		if results == 0 && i < h.stored && !c.inGather(number, i) {
			if c.verdict.lost++; c.verdict.lost > c.verdict.told {
				c.breach("I1", "source %d item %d was stored and has no result", number, i)
			}
		}
		if results > 0 && i >= h.intended {
			c.breach("I2", "source %d item %d has a result and was never sent", number, i)
		}
		for stage, runs := range h.runs {
			times := at(runs, i)
			if results > 0 && times == 0 {
				c.verdict.wrong++
				c.breach("I4", "source %d item %d has a result, and function %d never ran for it", number, i, stage)
			}
			c.verdict.extra += max(0, int64(times)-1)
		}
	}
}

// checkRuns looks for items that were run again although their first worker was able to complete
// them.
func (c *checker) checkRuns(number uint16, h *history) {
	for stage, runs := range h.unhurt {
		for i, times := range runs {
			if times > 1 {
				c.breach("I8", "source %d item %d: function %d ran %d times in workers to which nothing happened", number, i, stage, times)
			}
		}
	}
}

// inGather reports whether a killed gather process may have taken the item and died before it
// recorded that.
func (c *checker) inGather(source uint16, offset int64) bool {
	for _, r := range c.gathers {
		if r.source == source && !r.whole && r.last == offset-1 {
			c.verdict.unseen++
			return true
		}
	}
	return false
}

func (c *checker) checkEnd(open int, allowed bounds) {
	if open > allowed.cut {
		c.breach("I5", "%d sources have not ended, %d may", open, allowed.cut)
	}
	if allowed.cut == 0 && len(c.closes) != 1 {
		c.breach("I5", "the channel was closed %d times", len(c.closes))
	}
	for number, h := range c.sources {
		for _, close := range c.closes {
			if h.end < 0 || close < h.endAt || h.end > 0 && at(h.results, h.end-1) == 0 {
				c.breach("I5", "the channel was closed before source %d had ended and the last of its %d items was taken", number, h.end)
			}
		}
	}
}

// handovers compares each gather process with its successor: the successor may take unacknowledged
// items again, and must not skip any.
func (c *checker) handovers() {
	last := map[uint16]reading{}
	for _, r := range c.gathers {
		before, ok := last[r.source]
		if ok && before.whole && r.first <= before.last {
			c.verdict.doubled += before.last - r.first + 1
			c.breach("I1", "source %d items from %d came twice, though their gather had ended", r.source, r.first)
		}
		if ok {
			c.verdict.again += max(0, before.last-r.first+1)
		}
		last[r.source] = r
	}
}
