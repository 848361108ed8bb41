package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Bottleneck is the part of a flow that limits its rate.
type Bottleneck struct {
	// Kind is one of the kinds of a bottleneck.
	Kind     string `json:"kind"`
	Stage    string `json:"stage,omitempty"` // id of the stage, if it is one
	Function string `json:"function,omitempty"`
	Queue    string `json:"queue,omitempty"` // that is gathered, or that the source feeds
	Text     string `json:"text"`            // the same as a sentence, with its figures
	Remedy   string `json:"remedy"`          // what to do

	other string // of Elsewhere: id of the other stage
}

// The kinds of a bottleneck.
const (
	FewSlots     = "slots"     // all slots work, most of them on this flow
	StageLimit   = "limit"     // a stage may begin no more calls: MaxConcurrency, RateLimit or Batch
	Elsewhere    = "elsewhere" // all slots work, most of them on other flows
	SlowReader   = "reader"    // the program that gathers takes results slowly
	SlowProducer = "producer"  // the program that scatters gives items slowly
	OneItem      = "item"      // a gather waits for one item, and has others that come after it
	BusyRedis    = "redis"     // the main thread of Redis has no time left
)

const (
	fullyUsed = 0.9              // part of the time of slots from which on more slots would help
	untaken   = 0.95             // part of a time in which a gather waits for a program that takes no results
	mostly    = 0.5              // part of a time that is most of it
	backlogOf = time.Second      // work in front of a stage that is a backlog
	longWait  = 10 * time.Second // of a gather for one item
	// stickiness is the part of a border that a share has to keep for its bottleneck to stay named.
	stickiness = 0.9
)

// bottleneck returns what limits the rate of a flow of which items move, nil if nothing does. If Redis
// has no time left, no part of the flow does but a program: then that is slow by itself.
func (f *flow) bottleneck(p pools) *Bottleneck {
	b := f.ownLimit(p)
	switch {
	case f.redis.Busy < f.border(fullyUsed, BusyRedis, "") || b == nil && !f.isBacklogged():
		return b
	case b == nil:
		b = &Bottleneck{}
	case b.Kind == OneItem || b.Kind == SlowReader || b.Kind == SlowProducer && f.waitsForCaller():
		return b
	}
	text := fmt.Sprintf("Redis is the limit: its main thread works %.0f %% of its time%s", 100*min(1, f.redis.Busy), f.redis.on())
	if b.Text != "" {
		text += "; " + b.Text
	}
	return &Bottleneck{
		Kind: BusyRedis, Stage: b.Stage, Function: b.Function, Queue: b.Queue, Text: text,
		Remedy: "use larger batches, fewer and larger workers, or a Redis Cluster with more partitions: more slots do not help",
	}
}

// on names the server, if there are several.
func (l Load) on() string {
	if l.Address == "" {
		return ""
	}
	return ", on " + l.Address
}

// waitsForCaller tells whether each program that scatters into the flow has no item to store for most
// of the time.
func (f *flow) waitsForCaller() bool {
	return !slices.ContainsFunc(f.sources, func(s *Source) bool { return s.isFed() && s.Caller < mostly })
}

// ownLimit returns the part of a flow that limits its rate: the first of these that holds, from its end
// to its begin. An item that a gather waits for limits it while a call runs the item; while the item
// waits in a queue, the stage does whose slots have no time left.
func (f *flow) ownLimit(p pools) *Bottleneck {
	g := f.gatherInWait()
	switch {
	case g != nil && f.call(g.Wants) != nil:
		return f.missingItem(g)
	case g == nil:
		if b := f.readerLimit(); b != nil {
			return b
		}
		if !f.isBacklogged() {
			return f.producerLimit(p)
		}
		return f.stageLimit(p)
	case f.isBacklogged():
		if b := f.stageLimit(p); b != nil {
			b.Text += "; " + f.missingItem(g).Text
			return b
		}
	}
	return f.missingItem(g)
}

// stageLimit returns the stage whose limit is used up as the bottleneck, or else the dearest one, or the
// one that has its slots. If slots are free, a stage with a limit is the bottleneck all the same, nil if
// there is none: its calls are so short that they rarely run.
func (f *flow) stageLimit(p pools) *Bottleneck {
	limited := f.limited()
	if limited != nil && limited.limitUse() >= f.border(fullyUsed, StageLimit, limited.ID) {
		return f.limit(limited)
	}
	s := f.dearest(p)
	if s == nil {
		return f.limit(limited)
	}
	if other, busy := p.others(s, f); busy > f.border(mostly, Elsewhere, s.ID)*p.load(s) {
		return &Bottleneck{
			Kind: Elsewhere, Stage: s.ID, Function: s.Function, other: other.ID,
			Text:   fmt.Sprintf("%s waits for slots: most of them run %s (stage %s)", s.name(), other.name(), other.ID),
			Remedy: "start more workers, or pause stage " + other.ID,
		}
	}
	rate, slots := s.Rate, float64(s.Slots)
	return &Bottleneck{
		Kind: FewSlots, Stage: s.ID, Function: s.Function,
		Text: fmt.Sprintf("%s holds it back: %s an item, %.3g/s on %d slots, which work %.0f %% of their time",
			s.name(), short(s.itemTime()), rate, s.Slots, 100*min(1, p.use(s))),
		Remedy: fmt.Sprintf("start more workers: a further slot does about %.3g items a second more", rate/max(1, slots)),
	}
}

// gatherInWait returns a gather that has waited long for one item, nil if none has.
func (f *flow) gatherInWait() *Gather {
	for _, g := range f.gathers {
		if g.Wants != nil && f.at.Sub(g.Wants.Since) > longWait && g.Held > 0 {
			return g
		}
	}
	return nil
}

// missingItem returns the item that a gather waits for as the bottleneck.
func (f *flow) missingItem(g *Gather) *Bottleneck {
	text := fmt.Sprintf("the gather of %s has waited for offset %d of source %s for %s, and holds %d items that come after it",
		g.Queue, g.Wants.Offset, g.Wants.Source, f.at.Sub(g.Wants.Since).Round(time.Second), g.Held)
	if c := f.call(g.Wants); c != nil {
		text += fmt.Sprintf("; %s (stage %s) has run it for %s", c.Function, c.Stage, f.at.Sub(c.Since).Round(time.Second))
	}
	return &Bottleneck{Kind: OneItem, Queue: g.Queue, Text: text, Remedy: fmt.Sprintf("dqbridge where %s %d", g.Wants.Source, g.Wants.Offset)}
}

// readerLimit returns a gather that waits for its program as the bottleneck, nil if none does.
func (f *flow) readerLimit() *Bottleneck {
	if g := f.standing(); g != nil {
		return &Bottleneck{Kind: SlowReader, Queue: g.Queue, Text: f.untakenResults(g), Remedy: lookAtReader}
	}
	for _, g := range f.gathers {
		if g.Reader >= f.border(mostly, SlowReader, g.Queue) && f.unread(g.Queue)+g.Held > 0 {
			return &Bottleneck{
				Kind: SlowReader, Queue: g.Queue,
				Text: fmt.Sprintf("the program that gathers %s takes its results slowly: the gather waits for it %.0f %% of the time, with %d items in its memory and %d in the queue",
					g.Queue, 100*g.Reader, g.Held, f.unread(g.Queue)),
				Remedy: "take results faster, or from several goroutines",
			}
		}
	}
	return nil
}

// call returns the call that runs an item, nil if none does.
func (f *flow) call(w *Wanted) *Call {
	for i := range f.calls {
		c := &f.calls[i]
		if c.Source == w.Source && c.Offset <= w.Offset && w.Offset < c.Offset+int64(max(1, c.Items)) {
			return c
		}
	}
	return nil
}

// unread returns the unread items of a queue of the flow.
func (f *flow) unread(queue string) int64 {
	for _, q := range f.queues {
		if q.Name == queue {
			return q.Unread()
		}
	}
	return 0
}

// isBacklogged tells whether a stage has more than a second of work in front of it, or a full in-queue.
func (f *flow) isBacklogged() bool { return slices.ContainsFunc(f.stages, f.isBehind) }

// isBehind tells whether a stage has more than a second of work in front of it, or a full in-queue.
func (f *flow) isBehind(s *Stage) bool {
	left, full := f.left(s)
	enough := s.Rate * backlogOf.Seconds()
	if b := f.known.Bottleneck; b != nil && b.Stage != "" {
		enough /= 2 // see border
	}
	return full || left > 0 && float64(left) > enough
}

// border returns the share from which on a bottleneck of a kind, at a stage or a queue, is named, or
// anywhere for "". If the earlier look has named it, the share may be somewhat less: otherwise the name
// would come and go with a share near the border.
func (f *flow) border(share float64, kind, at string) float64 {
	b := f.known.Bottleneck
	if b != nil && b.Kind == kind && (at == "" || at == b.Stage+b.Queue) {
		return share * stickiness
	}
	return share
}

// left returns the items that wait in front of a stage, and whether one of its in-queues is full.
func (f *flow) left(s *Stage) (items int64, full bool) {
	for _, q := range f.queues {
		if slices.Contains(s.In, q.Name) {
			items, full = items+q.Unread(), full || q.Full
		}
	}
	return items, full
}

// dearest returns the stage that takes most time of slots that have no time left, nil if there is
// none.
func (f *flow) dearest(p pools) (dearest *Stage) {
	most := 0.0
	for _, s := range f.stages {
		busy, least := s.busy(), fullyUsed
		if b := f.known.Bottleneck; b != nil && b.Stage == s.ID { // see border
			busy, least = busy/stickiness, fullyUsed*stickiness
		}
		if p.use(s) >= least && (dearest == nil || busy > most) {
			dearest, most = s, busy
		}
	}
	return dearest
}

// producerLimit returns the producer as the bottleneck of a flow in whose queues no work waits, nil
// if no source is open.
func (f *flow) producerLimit(p pools) *Bottleneck {
	if len(f.stages) == 0 || !f.isFed() || f.stages[0].Workers == 0 {
		return nil
	}
	q, s := f.queues[0], f.stages[0]
	return &Bottleneck{
		Kind: SlowProducer, Queue: q.Name,
		Text:   fmt.Sprintf("the producer of %s gives %.3g items a second; the slots work %.0f %% of their time", q.Name, f.rateIn(), 100*min(1, p.use(s))),
		Remedy: "give items faster, or stop workers",
	}
}

// busy returns the mean number of slots that worked on the stage, in the last half minute.
func (s *Stage) busy() float64 {
	if s.Recent.Length == 0 {
		return 0
	}
	return float64(s.Recent.Busy) / float64(s.Recent.Length)
}

// BusyShare returns the part of the time of its slots, from 0 to 1, that they worked on the stage in
// the last half minute.
func (s Stage) BusyShare() float64 { return min(1, s.busy()/max(1, float64(s.Slots))) }

// FullShare returns the part of the time of its workers, from 0 to 1, in which items waited and there
// was no room behind the stage, in the last half minute.
func (s Stage) FullShare() float64 {
	if s.Recent.Length == 0 {
		return 0
	}
	return min(1, float64(s.Recent.Full)/float64(s.Recent.Length)/max(1, float64(s.Workers)))
}

// itemTime returns the mean time of an item, in the last half minute if items were done then.
func (s *Stage) itemTime() time.Duration {
	if s.Recent.Done > 0 {
		return s.Recent.Busy / time.Duration(s.Recent.Done)
	}
	return s.Cost
}

// name returns the function of a stage, or its kind if it has none.
func (s *Stage) name() string { return cmp.Or(s.Function, s.Kind) }

// short returns a duration with about three digits.
func short(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// A pool is the workers that have the same functions.
type pool struct {
	slots  int
	busy   float64  // mean number of slots that work
	stages []*Stage // that they work on
	hung   []hanging
}

// A hanging is a call that may never return, with its stage.
type hanging struct {
	Call
	stage *Stage
}

// pools has the pools of each function, and all of them for the function "".
type pools map[string][]*pool

// pools divides the workers of a snapshot into pools, with the work of its stages.
func (s *Snapshot) pools() pools {
	byFunctions, all := map[string]*pool{}, pools{}
	stages := make(map[string]*Stage, len(s.Stages))
	for i := range s.Stages {
		stages[s.Stages[i].ID] = &s.Stages[i]
	}
	for _, w := range s.Workers {
		if w.State == Silent {
			continue
		}
		key := strings.Join(w.Functions, "\x00")
		if byFunctions[key] == nil {
			p := &pool{}
			byFunctions[key] = p
			for _, name := range append([]string{""}, w.Functions...) {
				all[name] = append(all[name], p)
			}
		}
		byFunctions[key].slots += w.Concurrency
		for _, c := range w.Running {
			if stage := stages[c.Stage]; stage != nil && stage.Hung(s.At.Sub(c.Since)) {
				byFunctions[key].hung = append(byFunctions[key].hung, hanging{c, stage})
			}
		}
	}
	for i := range s.Stages {
		stage := &s.Stages[i]
		slots := all.slots(stage)
		for _, p := range all[stage.Function] {
			p.busy += stage.busy() * float64(p.slots) / float64(max(1, slots))
			p.stages = append(p.stages, stage)
		}
	}
	return all
}

// slots returns the number of slots that can run a stage.
func (p pools) slots(s *Stage) (n int) {
	for _, pool := range p[s.Function] {
		n += pool.slots
	}
	return n
}

// load returns the mean number of slots that work on any stage, of those that can run this one.
func (p pools) load(s *Stage) (busy float64) {
	for _, pool := range p[s.Function] {
		busy += pool.busy
	}
	return busy
}

// use returns the part of the time that the slots that can run a stage work on any stage.
func (p pools) use(s *Stage) float64 { return p.load(s) / float64(max(1, p.slots(s))) }

// others returns the stage outside a flow that takes most time of the slots that can run s, and the
// mean number of these slots that work outside the flow.
func (p pools) others(s *Stage, f *flow) (most *Stage, busy float64) {
	for _, pool := range p[s.Function] {
		for _, other := range pool.stages {
			if slices.Contains(f.stages, other) {
				continue
			}
			busy += other.busy() * float64(pool.slots) / float64(max(1, p.slots(other)))
			if most == nil || other.busy() > most.busy() {
				most = other
			}
		}
	}
	return most, busy
}
