package differential

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// rings lets two workers wait for rings: one is rung for an entry and passes the ring on to the other.
func rings(t *testing.T, both *testkit.Differential) {
	ctx := t.Context()
	c := must(broker.Open(both.URL()+"/?ns=rings", broker.Options{}))(t)
	defer c.Close()
	a, _, err := c.Declare(ctx, broker.Queue{Name: "a"})
	b, _, again := c.Declare(ctx, broker.Queue{Name: "b", From: []string{"a"}, Seal: true})
	fine(t, err, again, c.Join(ctx, broker.RoleExecutor, "x", nil), c.Join(ctx, broker.RoleWorker, "v", nil), c.Join(ctx, broker.RoleWorker, "w", nil),
		c.Stage(ctx, broker.Stage{ID: "b", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{a}, Outs: []broker.Out{{Queue: b}}}))
	class := broker.NewClass([]broker.FunctionCard{{Name: "f"}}, nil)
	ask := func(worker string, count int) broker.ReadyReply {
		return must(c.Ready(ctx, broker.ReadyQuery{Worker: worker, Class: class, Count: count, Wait: true, Pace: time.Hour}))(t)
	}
	for _, worker := range []string{"v", "w"} {
		must(c.JoinClass(ctx, worker, class))(t)
		if !ask(worker, 1).Idle {
			t.Errorf("%s does not wait", worker)
		}
	}
	fine(t, c.MarkAll(ctx))
	scattered(t, c, "s", a, 1, 0)
	both.Compare()
	fine(t, c.Ring(ctx, []string{"a"}), c.MarkAll(ctx))
	if got := ask("w", 1).Queues; len(got) != 1 || got[0].Queue != "a" {
		t.Errorf("ready are %v", got)
	}
	both.Compare()
	taken := must(c.Take(ctx, "v", 9, 1, []broker.Route{{In: "a", Outs: []string{"b"}}}))(t)
	if len(taken) != 1 || len(taken[0].Entries) != 1 {
		t.Errorf("taken is %+v", taken)
	}
	must(c.MarkUnread(ctx, []broker.StageQueue{{Queue: "a", Stage: "b"}}))(t)
	both.Compare()
	fine(t, c.LeaveClass(ctx, "v"), c.Leave(ctx, broker.RoleWorker, "w"), c.Leave(ctx, broker.RoleWorker, "v"), c.DeleteAll(ctx, []string{"a", "b"}),
		c.Leave(ctx, broker.RoleExecutor, "x"))
}
