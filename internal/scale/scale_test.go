package scale_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/scale"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// slow is a flow of one stage that takes half a second for an item: 20 come in a second, and 3,000 wait.
func slow() inspect.Snapshot {
	work := inspect.Work{Start: epoch.Add(-30 * time.Second), Length: 30 * time.Second, Done: 360, Busy: 180 * time.Second, Added: 4000}
	return inspect.Snapshot{
		At:     epoch,
		Queues: []inspect.Queue{{Name: "in", Waiting: 3000, Running: 12, Batches: 12, Added: 4600}, {Name: "out"}},
		Stages: []inspect.Stage{{ID: "out", Function: "slow", In: []string{"in"}, Out: []string{"out"}, Workers: 6, Slots: 12, Recent: work, Rate: 12, Last: epoch}},
		Workers: []inspect.Worker{
			{Functions: []string{"slow"}, Concurrency: 2, State: inspect.Live}, {Functions: []string{"other"}, Concurrency: 8, State: inspect.Live},
			{Functions: []string{"slow"}, Concurrency: 2, State: inspect.Silent},
		},
	}
}

func decide(s inspect.Snapshot, o scale.Options) scale.Decision {
	return scale.Decide(watch.View{Snapshot: s, At: s.At}, o, scale.Decision{})
}

func near(a, b float64) bool { return math.Abs(a-b) < 0.01 }

func TestLoadAndDrain(t *testing.T) {
	t.Parallel()
	d := decide(slow(), scale.Options{Functions: []string{"slow"}, Slots: 2, Target: time.Minute, Utilisation: 0.8})
	if !near(d.Load, 12.5) || !near(d.Drain, 1500/59.5) || d.Workers != 19 || d.Live != 1 || d.Backlog != 3012 {
		t.Errorf("20 items a second and 3,000 that wait: %+v", d)
	}
	if want := "12.5 slots for the items that arrive, 25.2 to finish those that wait within 1m0s; 2 slots a worker"; d.Why != want {
		t.Errorf("it says %q, not %q", d.Why, want)
	}
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	pool := scale.Options{Functions: []string{"slow"}, Slots: 2, Target: time.Minute, Utilisation: 0.8}
	for name, c := range map[string]struct {
		change  func(*inspect.Snapshot)
		options func(*scale.Options)
		want    int
		by      string
	}{
		"as it is":                     {want: 19},
		"at most ten":                  {options: func(o *scale.Options) { o.Max = 10 }, want: 10, by: scale.ByMax},
		"at least thirty":              {options: func(o *scale.Options) { o.Min = 30 }, want: 30},
		"slots as of the live worker":  {options: func(o *scale.Options) { o.Slots = 0 }, want: 19},
		"other functions":              {options: func(o *scale.Options) { o.Functions = []string{"other"} }, want: 0},
		"a gone queue":                 {change: func(s *inspect.Snapshot) { s.Queues = s.Queues[1:] }, want: 1},
		"old items":                    {change: func(s *inspect.Snapshot) { s.Queues[0].Oldest = epoch.Add(-time.Hour) }, want: 32},
		"a paused stage":               {change: func(s *inspect.Snapshot) { s.Stages[0].Paused = true }, want: 1, by: scale.ByPause},
		"a full queue behind":          {change: func(s *inspect.Snapshot) { s.Queues[1].Full = true }, want: 4, by: scale.ByReader},
		"time without room":            {change: func(s *inspect.Snapshot) { s.Stages[0].Recent.Full = time.Minute }, want: 4, by: scale.ByReader},
		"calls at once":                {change: func(s *inspect.Snapshot) { s.Stages[0].MaxConcurrency = 6 }, want: 4, by: scale.ByLimit},
		"a rate of calls":              {change: func(s *inspect.Snapshot) { s.Stages[0].MaxRate = 22 }, want: 7, by: scale.ByLimit},
		"a limit that is not reached":  {change: func(s *inspect.Snapshot) { s.Stages[0].MaxRate = 1000 }, want: 19},
		"a limit behind the stage":     {change: limitBehind, want: 2, by: scale.ByLimit},
		"failing items":                {change: func(s *inspect.Snapshot) { s.Stages[0].Recent.Failed = 300 }, want: 1, by: scale.ByFailures},
		"one item, and no report":      {change: func(s *inspect.Snapshot) { one(s) }, want: 1},
		"one delayed item":             {change: func(s *inspect.Snapshot) { one(s); s.Queues[0].Waiting, s.Queues[0].Delayed = 0, 1 }, want: 1},
		"ten calls that hang":          {change: func(s *inspect.Snapshot) { one(s); calls(s, 10, time.Hour) }, want: 6},
		"ten long calls":               {change: func(s *inspect.Snapshot) { one(s); calls(s, 10, 30*time.Second) }, want: 5},
		"never more slots than items":  {change: func(s *inspect.Snapshot) { one(s); s.Stages[0].Cost = time.Hour }, want: 1},
		"a stage in which no one asks": {change: func(s *inspect.Snapshot) { s.Stages[0].Function = "other" }, want: 0},
	} {
		s, o := slow(), pool
		if c.change != nil {
			c.change(&s)
		}
		if c.options != nil {
			c.options(&o)
		}
		if d := decide(s, o); d.Workers != c.want || d.LimitedBy != c.by {
			t.Errorf("%s: %d workers, limited by %q: %+v", name, d.Workers, d.LimitedBy, d)
		}
	}
}

// one leaves one item that waits, of a stage that no worker has run.
func one(s *inspect.Snapshot) {
	s.Queues[0] = inspect.Queue{Name: "in", Waiting: 1, Added: 1, Oldest: epoch}
	s.Stages[0].Recent, s.Stages[0].Last, s.Stages[0].Rate = inspect.Work{}, time.Time{}, 0
}

// limitBehind adds a stage of the pool behind the slow one, which takes no time and has a limit.
func limitBehind(s *inspect.Snapshot) {
	s.Queues = append(s.Queues, inspect.Queue{Name: "end"})
	s.Stages = append(s.Stages, inspect.Stage{
		ID: "end", Function: "slow", In: []string{"out"}, Out: []string{"end"}, MaxRate: 4, Cost: time.Microsecond,
	})
}

func calls(s *inspect.Snapshot, n int, age time.Duration) {
	for range n {
		s.Workers[0].Running = append(s.Workers[0].Running, inspect.Call{Stage: "out", Function: "slow", Since: epoch.Add(-age)})
	}
}

// The items of a pool pass its stages one after another: those that arrive at the first count with the
// time of all, and those that a fused stage gets do not count again.
func TestChainOfStages(t *testing.T) {
	t.Parallel()
	s := slow()
	s.Queues[0].Waiting, s.Queues[0].Running, s.Queues[0].Batches = 0, 0, 0
	s.Queues = append(s.Queues, inspect.Queue{Name: "b"}, inspect.Queue{Name: "c", Waiting: 100}, inspect.Queue{Name: "end"})
	copies := inspect.Stage{ID: "b", Kind: "copy", In: []string{"out"}, Out: []string{"b", "c"}}
	last := s.Stages[0]
	last.ID, last.Function, last.In, last.Out = "end", "last", []string{"c"}, []string{"end"}
	s.Stages = append(s.Stages, copies, last)
	d := decide(s, scale.Options{Functions: []string{"slow", "last"}, Slots: 1, Target: time.Minute, Utilisation: 1})
	if !near(d.Load, 20) || !near(d.Drain, 50/59.0) {
		t.Errorf("both stages: %+v", d)
	}
	if d = decide(s, scale.Options{Functions: []string{"last"}, Slots: 1, Target: time.Minute, Utilisation: 1}); !near(d.Drain, 50/59.5) {
		t.Errorf("the last stage alone: %+v", d)
	}
	s.Queues[4].Full = true
	if d = decide(s, scale.Options{Slots: 1, Target: time.Minute, Utilisation: 1}); d.LimitedBy != scale.ByReader || d.Drain > 0 {
		t.Errorf("a full queue at the end: %+v", d)
	}
	s.Queues[4].Full, s.Queues[3].Full = false, true
	if d = decide(s, scale.Options{Slots: 1, Target: time.Minute, Utilisation: 1}); d.LimitedBy != "" {
		t.Errorf("a full queue within the pool: %+v", d)
	}
}

func TestHoldsWhileRedisIsAwayOrBusy(t *testing.T) {
	t.Parallel()
	o := scale.Options{Functions: []string{"slow"}, Slots: 2}
	v := watch.View{Snapshot: slow(), At: epoch}
	first := scale.Decide(v, o, scale.Decision{})
	v.Err = errors.New("away")
	if d := scale.Decide(v, o, first); d.Workers != first.Workers || d.LimitedBy != scale.ByOutage || d.At != first.At {
		t.Errorf("during an outage: %+v", d)
	}
	if d := scale.Decide(v, o, scale.Decision{}); d.Workers != 1 || d.LimitedBy != scale.ByOutage {
		t.Errorf("during an outage, without an earlier one: %+v", d)
	}
	v.Err = nil
	v.Snapshot.At = epoch.Add(10 * time.Second)
	v.Snapshot.Redis = inspect.Load{Busy: 0.95, Length: 30 * time.Second}
	v.Snapshot.Queues[0].Waiting *= 10
	if d := scale.Decide(v, o, first); d.Workers != first.Workers || d.LimitedBy != scale.ByRedis {
		t.Errorf("while Redis is busy: %+v", d)
	}
	v.Snapshot.Redis.Busy = 0.85
	if d := scale.Decide(v, o, first); d.Workers <= first.Workers || d.LimitedBy != "" {
		t.Errorf("while Redis has time left: %+v", d)
	}
}

// Attempts that are retried count as well: items that never succeed have no result for a long time.
func TestHoldsWhileMostAttemptsFail(t *testing.T) {
	t.Parallel()
	o := scale.Options{Functions: []string{"slow"}, Slots: 2}
	v := watch.View{Snapshot: slow(), At: epoch}
	last := scale.Decide(v, o, scale.Decision{})
	look := func(succeeded, retried int64) scale.Decision {
		v.Snapshot.At = v.Snapshot.At.Add(10 * time.Second)
		v.Snapshot.Queues = slices.Clone(v.Snapshot.Queues)
		v.Snapshot.Queues[0].Waiting += 1000
		v.Snapshot.Stages = slices.Clone(v.Snapshot.Stages)
		v.Snapshot.Stages[0].Done += succeeded
		v.Snapshot.Stages[0].Retried += retried
		last = scale.Decide(v, o, last)
		return last
	}
	look(0, 100)
	look(0, 100)
	held := look(0, 100).Workers
	if d := look(0, 100); d.Workers != held || d.LimitedBy != scale.ByFailures {
		t.Errorf("while all attempts fail: %+v", d)
	}
	look(100, 0)
	look(100, 0)
	look(100, 0)
	if d := look(100, 0); d.Workers <= held || d.LimitedBy != "" {
		t.Errorf("after that: %+v", d)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]scale.Options{
		"slots -1":           {Slots: -1},
		"target -1s":         {Target: -time.Second},
		"utilisation 2":      {Utilisation: 2},
		"utilisation NaN":    {Utilisation: math.NaN()},
		"min -1":             {Min: -1},
		"max -1":             {Max: -1},
		"max 1 is less than": {Min: 2, Max: 1},
		"idle -1s: give":     {Idle: -time.Second},
	} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := (scale.Options{}).Check(); err != nil {
		t.Error(err)
	}
}

// A Keeper remembers each pool, and not more than 64.
func TestKeeperRemembersPools(t *testing.T) {
	t.Parallel()
	var k scale.Keeper
	v := watch.View{Snapshot: slow(), At: epoch}
	o := scale.Options{Slots: 2}
	first := k.Decide(v, o)
	for slots := 3; slots < 66; slots++ {
		k.Decide(v, scale.Options{Slots: slots})
	}
	v.Err = errors.New("away")
	if d := k.Decide(v, o); d.Workers != first.Workers {
		t.Errorf("it has forgotten one of 64 pools: %+v", d)
	}
	if d := k.Decide(v, scale.Options{Slots: 100}); d.Workers != 2 {
		t.Errorf("it knows a pool that was not asked for: %+v", d)
	}
	if d := k.Decide(v, scale.Options{Slots: 3}); d.Workers != 2 {
		t.Errorf("it remembers the oldest of 66 pools: %+v", d)
	}
}
