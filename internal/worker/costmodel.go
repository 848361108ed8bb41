package worker

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A costModel finds the number of items for a call of a batch function: the number that brings the
// most items a second, as measured. It keeps figures by class, the powers of two of the items of a
// call.
//
// It compares times under the same load. Calls of the class in use tell how much slower the machine
// is than before, and the times of all other calls are divided by that. So a machine that becomes
// busy changes no size.
type costModel struct {
	classes [maxClass + 1]callClass
	at      int       // the class in use
	load    recent    // times of recent calls of that class over base
	quiet   float64   // about the least load: times divided by it are those of a quiet machine
	known   int       // number of classes with a call
	begun   int       // calls
	since   int       // value of begun when the class came into use
	told    int       // items of a call as reported to producers; 0: none yet
	last    time.Time // when the last call was learned
	waiting []callTried
}

// A callClass has the figures of calls of 2^k to 2^(k+1)-1 items.
type callClass struct {
	items float64 // of a call; 0: no call so far
	base  float64 // ns of such a call, without load
	spent recent  // ns of recent calls, without load; not kept for the class in use
}

// A callTried is a call of a class that is not in use. It waits for a call of the class in use,
// which tells the load.
type callTried struct {
	class int
	spent float64
}

const (
	maxClass = 16 // 65,536 items
	// firstItems limits the items of the first calls.
	firstItems = 16
	// callTime limits the expected time of a call.
	callTime = 2500 * time.Millisecond
	// callOverhead is the time of a call beside the function.
	callOverhead = aim / spare
	// The work of the items of a call should be so many times its start. At full, twice as many
	// items bring less than a tenth more items a second. Short calls may be larger, which saves
	// CPU.
	full  = 9
	spare = 20
	// short is the bound of a short call.
	short = 100 * time.Millisecond
	// worthwhile is the factor of items a second at which another class comes into use.
	worthwhile = 1.1
	// leap limits the classes that a size grows by at once.
	leap = 9
	// mostWaiting limits the calls that wait for one of the class in use.
	mostWaiting = 4
	// probes is the number of calls in which each other class is tried once.
	probes = 64
	// seldom is the factor of items a second below which a larger class is tried rarely.
	seldom = 0.8
	// creep is the factor by which quiet rises with each call.
	creep = 1.005
	// mostSlower limits the estimate of the load.
	mostSlower = 8
	// lasting is the number of calls for which a size has to be in use until producers are told.
	lasting = 16
)

// recent keeps the last of some figures above 0.
type recent struct {
	last [8]float64
	n    int // figures so far
}

func (r *recent) add(v float64) {
	r.last[r.n%len(r.last)] = v
	r.n++
}

// kept returns the number of figures.
func (r *recent) kept() int { return min(r.n, len(r.last)) }

// least returns the least of the last m figures, 1 without figures.
func (r *recent) least(m int) float64 {
	if r.n == 0 {
		return 1
	}
	least := math.Inf(1)
	for i := range min(m, r.kept()) {
		least = min(least, r.last[(r.n-1-i)%len(r.last)])
	}
	return least
}

// middle returns the median of the figures, 1 without figures.
func (r *recent) middle() float64 {
	if r.n == 0 {
		return 1
	}
	sorted := r.last
	slices.Sort(sorted[:r.kept()])
	return sorted[(r.kept()-1)/2]
}

// around returns the mean of the last two figures, 1 without figures.
func (r *recent) around() float64 {
	switch r.n {
	case 0:
		return 1
	case 1:
		return r.last[0]
	}
	return math.Sqrt(r.last[(r.n-1)%len(r.last)] * r.last[(r.n-2)%len(r.last)])
}

// spread returns the relative distance of the median from the least. It is unknown for few figures.
func (r *recent) spread() float64 {
	if r.n < 4 {
		return 0.3
	}
	return r.middle()/r.least(len(r.last)) - 1
}

func classOf(items int) int { return min(bits.Len(uint(items))-1, maxClass) }

// learn records a call.
func (s *costModel) learn(spent time.Duration, items int) {
	s.last = time.Now()
	k := classOf(items)
	c := &s.classes[k]
	t := float64(spent + callOverhead)
	if c.items == 0 {
		c.items = float64(items)
		if s.known++; s.known == 1 {
			s.at, c.base = k, t
		}
	} else { // scaled to the items of the class
		t *= s.expected(c.items) / s.expected(float64(items))
	}
	if k == s.at {
		s.load.add(t / c.base)
		s.quiet = min(s.load.middle(), cmp.Or(s.quiet, math.Inf(1))*creep)
	} else {
		s.waiting = append(s.waiting, callTried{k, t})
	}
	if k == s.at || c.base == 0 || len(s.waiting) == mostWaiting {
		s.compare()
	}
}

// compare divides the times of the waiting calls by the load of the class in use.
func (s *costModel) compare() {
	for _, tried := range s.waiting {
		c := &s.classes[tried.class]
		if tried.class == s.at {
			continue
		}
		c.spent.add(tried.spent / s.load.around())
		c.base = c.spent.middle()
		enough := worthwhile + s.doubt(c)
		if s.at < tried.class && tried.class <= s.goal() && c.spent.kept() >= 2 && c.base*s.quiet <= float64(short) {
			enough = 1
		}
		if tried.class < s.at && c.spent.kept() < 3 || tried.class > s.at && !s.inTime(tried.class) {
			continue // the load may just have changed
		}
		if s.gain(tried.class) >= enough {
			s.use(tried.class)
		}
	}
	s.waiting = s.waiting[:0]
}

// gain returns the items a second of a class, relative to the class in use.
func (s *costModel) gain(k int) float64 {
	c, now := &s.classes[k], &s.classes[s.at]
	return c.items / c.base / (now.items / now.base)
}

// doubt returns the relative error of the figures of a class.
func (s *costModel) doubt(c *callClass) float64 {
	return s.load.spread() / math.Sqrt(float64(c.spent.kept()))
}

// use changes the class in use.
func (s *costModel) use(k int) {
	old := &s.classes[s.at]
	old.spent = recent{}
	old.spent.add(old.base)
	s.at, s.since = k, s.begun
}

// line returns the start of a call and the time of each item, in ns: a line through a class and one
// of a quarter of its items or less, or otherwise of half of them.
func (s *costModel) line(top int) (start, item float64) {
	c, below := &s.classes[top], -1
	for k := range top {
		if s.classes[k].items > 0 && (below < 0 || k <= top-2) {
			below = k
		}
	}
	if below < 0 {
		return 0, c.base / c.items
	}
	b := &s.classes[below]
	item = max((c.base-b.base)/(c.items-b.items), 1e-3)
	return max(c.base-item*c.items, 0), item
}

// expected returns the time of a call without load, in ns.
func (s *costModel) expected(items float64) float64 {
	var below, above *callClass
	last := 0
	for k := range s.classes {
		c := &s.classes[k]
		if c.base == 0 {
			continue
		}
		if last = k; c.items > items {
			above = c
			break
		}
		below = c
	}
	switch {
	case below == nil && above == nil:
		return items
	case below == nil || above == nil:
		start, item := s.line(last)
		return start + item*items
	}
	part := (items - below.items) / (above.items - below.items)
	return below.base + part*(above.base-below.base)
}

// goal returns the class that the size grows to at once. It is the class in use if calls of more
// items bring little.
func (s *costModel) goal() int {
	limit := min(maxClass, s.at+leap)
	for k := s.at + 1; k <= limit; k++ {
		if c := &s.classes[k]; c.items > 0 && s.gain(k)*(1+s.doubt(c)) < 1 { // it brings less
			limit = (s.at + k) / 2
		}
	}
	start, item := s.line(s.at)
	want := max(full*start, min(spare*start, float64(short)/s.quiet)) / item
	if s.known == 1 {
		want, limit = math.Inf(1), min(limit, s.at+2)
	}
	k := s.at
	for k < limit && math.Exp2(float64(k+1)) <= want && s.inTime(k+1) {
		k++
	}
	return k
}

// inTime reports whether the items of a call of a class take no longer than callTime. The start of
// a call does not count: fewer items do not shorten it. Nor does the load: a busy machine needs no
// smaller calls.
func (s *costModel) inTime(k int) bool {
	start, _ := s.line(s.at)
	return (s.expected(math.Exp2(float64(k)))-start)*s.quiet <= float64(callTime)
}

// next returns the number of items for the next call while so many calls run.
func (s *costModel) next(running int) int {
	if s.known == 0 {
		return min(1<<(2*min(running, 2)), firstItems)
	}
	k := s.goal()
	if k > s.at {
		if s.begun%4 == 3 { // the class in use tells the load
			k = s.at
		}
		return 1 << k
	}
	for k > 0 && !s.inTime(k) {
		k--
	}
	return 1 << s.probe(k)
}

// probe returns the class of the next call, usually k and sometimes another one. It tries larger
// classes more often if their calls are short, and rarely if they brought less.
func (s *costModel) probe(k int) int {
	turn, up, each := s.begun%probes, min(k+1, maxClass), probes/4
	if k+2 <= maxClass && s.expected(math.Exp2(float64(k+2)))*s.quiet <= float64(short) {
		up, each = k+2, probes/16
	}
	if c := &s.classes[up]; c.items > 0 && s.gain(up)*(1+s.doubt(c)) < seldom {
		each = probes
	}
	switch {
	case k < s.at:
	case turn == 0:
		return max(k-2, 0)
	case turn == probes/2:
		return max(k-1, 0)
	case turn%each == each-1 && s.inTime(up):
		return up
	}
	return k
}

// settled returns the number of items of calls that producers are told, 0 if it is unknown so far:
// entries that are too small cost more than entries that are too large.
func (s *costModel) settled() int {
	k := s.goal()
	if s.known < 2 || k == s.at && s.begun-s.since < lasting {
		return s.told
	}
	if k == s.at || s.told > 0 {
		s.told = 1 << k
	}
	return s.told
}

// start returns the time of a call without items, 0 if it is unknown.
func (s *costModel) start() time.Duration {
	if s.known < 2 {
		return 0
	}
	start, _ := s.line(s.at)
	return max(0, time.Duration(start*s.load.middle())-callOverhead)
}

// slower returns how many times slower the machine is than a quiet one.
func (s *costModel) slower() float64 {
	if s.quiet == 0 {
		return 1
	}
	return min(max(s.load.middle()/s.quiet, 1), mostSlower)
}

// indivisible returns the number of items of a call that would not be much faster as two calls of
// half.
func (s *costModel) indivisible() int {
	if s.known < 2 {
		return 1
	}
	start, item := s.line(s.at)
	return int(min(max(start/item/4, 1), 1<<maxClass))
}

// ready returns the time at which a size may be known, if calls of other sizes take as long as the
// only one that has returned. It is zero if there is no reason to wait.
func (s *costModel) ready() time.Time {
	if s.known != 1 {
		return time.Time{}
	}
	return s.last.Add(min(time.Duration(s.classes[s.at].base/8), lingerMost))
}
