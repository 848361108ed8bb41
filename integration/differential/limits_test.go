package differential

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A limitedStage is a stage with limits, which the test runs itself.
type limitedStage struct {
	c    *broker.Client
	in   broker.Queue
	held [][]broker.Entry // the entries of each call
}

// take takes entries for the worker and returns their number.
func (s *limitedStage) take(t *testing.T, worker string) (broker.Taken, int) {
	t.Helper()
	taken := must(s.c.Take(t.Context(), worker, 9, 1, []broker.Route{{In: "a", Outs: []string{"b"}, Calls: len(s.held)}}))(t)[0]
	if len(taken.Entries) > 0 {
		s.held = append(s.held, taken.Entries)
	}
	return taken, len(taken.Entries)
}

// complete completes all held entries of the first call.
func (s *limitedStage) complete(t *testing.T) {
	t.Helper()
	for _, e := range s.held[0] {
		must(s.c.Complete(t.Context(), []broker.Completion{{Entry: e, In: s.in}}))(t)
	}
	s.held = s.held[1:]
}

// limited runs a stage under limits: places, a rate, and batches, with workers at queues and at rings.
func limited(t *testing.T, both *testkit.Differential) {
	for name, limits := range map[string]broker.Limits{
		"places":  {Most: 2},
		"rate":    {Rate: 200, Per: time.Second, Burst: 2},
		"batch":   {Batch: 4, Linger: 20 * time.Millisecond},
		"batches": {Most: 1, Rate: 200, Per: time.Second, Burst: 1, Batch: 4, Linger: time.Hour},
	} {
		for _, rings := range []string{"", "rings"} {
			t.Run(name+rings, func(t *testing.T) {
				c := must(broker.Open(both.URL()+"/?ns=limited-"+name+rings, broker.Options{}))(t)
				defer c.Close()
				runLimited(t, c, limits, rings != "")
				both.Compare()
			})
		}
	}
}

// runLimited passes ten items through a stage with limits, while two workers ask for them.
func runLimited(t *testing.T, c *broker.Client, limits broker.Limits, rings bool) {
	t.Helper()
	ctx := t.Context()
	in, _, err := c.Declare(ctx, broker.Queue{Name: "a"})
	out, _, again := c.Declare(ctx, broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
	fine(t, err, again, c.Join(ctx, broker.RoleExecutor, "x", nil), c.Join(ctx, broker.RoleWorker, "v", nil), c.Join(ctx, broker.RoleWorker, "w", nil))
	if rings {
		class := broker.NewClass([]broker.FunctionCard{{Name: "f"}}, nil)
		for _, worker := range []string{"v", "w"} {
			must(c.JoinClass(ctx, worker, class))(t)
		}
	}
	fine(t, c.Stage(ctx, broker.Stage{
		ID: "b", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: out}}, Limits: &limits,
	}))
	scattered(t, c, "s", in, 8, 0)
	s, got := limitedStage{c: c, in: in}, 0
	holds := false
	testkit.Eventually(t, func() bool {
		for _, worker := range []string{"v", "w"} {
			taken, n := s.take(t, worker)
			got, holds = got+n, holds || taken.Held
		}
		if len(s.held) > 0 {
			s.complete(t)
		}
		fine(t, c.RequeueDue(ctx))
		return got == 8
	}, "all items are taken")
	if limits.Batch == 0 && !holds {
		t.Error("no call of take was held")
	}
	for len(s.held) > 0 {
		s.complete(t)
	}
	fine(t, c.DeleteAll(ctx, []string{"a", "b"}), c.Leave(ctx, broker.RoleWorker, "w"), c.Leave(ctx, broker.RoleWorker, "v"),
		c.Leave(ctx, broker.RoleExecutor, "x"))
}
