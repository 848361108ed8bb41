package worker

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A costModel finds how many items a call of a batch function should get, by the items a
// second that calls of different sizes bring. It knows calls by classes, the powers of two
// of their items.
//
// Times are compared under the same load: calls of the class in use tell how much slower
// the machine is than it was, and the times of all other calls are divided by that. So a
// machine that becomes busy changes no size.
type costModel struct {
	classes [maxClass + 1]callClass
	at      int       // the class in use
	load    recent    // times of recent calls of that class over base
	quiet   float64   // about the least load, by which times are those of a quiet machine
	known   int       // classes that had a call
	begun   int       // calls
	since   int       // of them when the class came into use
	told    int       // items of a call, to producers; 0: nothing yet
	last    time.Time // when the last one was learned
	waiting []callTried
}

// A callClass is what is known of calls of 2^k to 2^(k+1)-1 items.
type callClass struct {
	items float64 // of a call; 0: there was none
	base  float64 // ns of such a call, without load
	spent recent  // ns of recent ones, without load; not kept of the class in use
}

// A callTried is a call of a class that is not in use, which waits for one that is: only
// that one tells the load.
type callTried struct {
	class int
	spent float64
}

const (
	maxClass = 16 // 65,536 items
	// firstItems is how many items the first calls get at most.
	firstItems = 16
	// callTime is how long the items of a call may be expected to take.
	callTime = 2500 * time.Millisecond
	// callOverhead is what a call costs beside the function.
	callOverhead = aim / spare
	// The work of a call's items should be so many times its start. At full, twice as many
	// items bring less than a tenth more items a second. Short calls may as well be larger,
	// which spares processors.
	full  = 9
	spare = 20
	// short is how long a short call is.
	short = 100 * time.Millisecond
	// worthwhile is how many times the items a second another class has to bring.
	worthwhile = 1.1
	// leap is the most classes that a size grows by at once.
	leap = 9
	// mostWaiting is how many calls wait for one of the class in use.
	mostWaiting = 4
	// probes is in how many calls each other class is tried.
	probes = 64
	// seldom is what part of the items a second a larger class brings that is seldom tried.
	seldom = 0.8
	// creep is by how much quiet rises with each call.
	creep = 1.005
	// mostSlower bounds what is believed of that.
	mostSlower = 8
	// lasting is how many calls a size has to last until producers are told.
	lasting = 16
)

// recent are the last of some figures, which are above 0.
type recent struct {
	last [8]float64
	n    int // figures so far
}

func (r *recent) add(v float64) {
	r.last[r.n%len(r.last)] = v
	r.n++
}

// kept is how many figures there are.
func (r *recent) kept() int { return min(r.n, len(r.last)) }

// least returns the least of the last m figures, 1 if there is none.
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

// middle returns the median of the figures, 1 if there is none.
func (r *recent) middle() float64 {
	if r.n == 0 {
		return 1
	}
	sorted := r.last
	slices.Sort(sorted[:r.kept()])
	return sorted[(r.kept()-1)/2]
}

// around returns the mean of the last two figures, 1 if there is none.
func (r *recent) around() float64 {
	switch r.n {
	case 0:
		return 1
	case 1:
		return r.last[0]
	}
	return math.Sqrt(r.last[(r.n-1)%len(r.last)] * r.last[(r.n-2)%len(r.last)])
}

// spread is by how much the middle is above the least, relative to that. Of few figures
// nothing is known.
func (r *recent) spread() float64 {
	if r.n < 4 {
		return 0.3
	}
	return r.middle()/r.least(len(r.last)) - 1
}

func classOf(items int) int { return min(bits.Len(uint(items))-1, maxClass) }

// learn takes note of a call.
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
	} else { // as if it had been of so many items
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

// compare compares the calls that wait with those of the class in use.
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

// gain is how many times the items a second calls of a class bring.
func (s *costModel) gain(k int) float64 {
	c, now := &s.classes[k], &s.classes[s.at]
	return c.items / c.base / (now.items / now.base)
}

// doubt is by how much what is known of a class may be wrong, relative to it.
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

// line is the start of a call and what each item adds, in ns: a line through a class and
// one of a quarter of its items or less, or else of half of them.
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

// expected is how long a call takes without load, in ns.
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

// goal is the class that the size grows to at once: that in use, if calls of more items
// would bring little.
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

// inTime tells whether the items of a call of a class take little enough time. The start of
// a call is left out: fewer items do not make it shorter. So is the load: a busy machine
// needs no smaller calls.
func (s *costModel) inTime(k int) bool {
	start, _ := s.line(s.at)
	return (s.expected(math.Exp2(float64(k)))-start)*s.quiet <= float64(callTime)
}

// next is how many items the next call should have, if running calls have not returned yet.
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

// probe is the class of the next call where k would be: now and then another one. Larger
// ones are tried more often if their calls are short, and seldom if they brought less.
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

// settled is how many items calls have as long as nothing changes, 0 if that is not
// known yet: producers that cut too small entries cost more than too large ones.
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

// start is how long a call without items would take, 0 if that is not known.
func (s *costModel) start() time.Duration {
	if s.known < 2 {
		return 0
	}
	start, _ := s.line(s.at)
	return max(0, time.Duration(start*s.load.middle())-callOverhead)
}

// slower is how many times slower the machine is than when it is quiet, as far as is known.
func (s *costModel) slower() float64 {
	if s.quiet == 0 {
		return 1
	}
	return min(max(s.load.middle()/s.quiet, 1), mostSlower)
}

// indivisible is of how many items the calls are that two calls of half of them would not
// be much shorter than.
func (s *costModel) indivisible() int {
	if s.known < 2 {
		return 1
	}
	start, item := s.line(s.at)
	return int(min(max(start/item/4, 1), 1<<maxClass))
}

// ready is when a size may be known, if calls of other sizes take as long as the only one
// that has returned; zero if nothing is to be waited for.
func (s *costModel) ready() time.Time {
	if s.known != 1 {
		return time.Time{}
	}
	return s.last.Add(min(time.Duration(s.classes[s.at].base/8), lingerMost))
}
