package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

const pace = time.Hour // no test of one script waits for a pass

// ups is a class of workers that run the function of makeFlow.
var ups = broker.NewClass([]broker.FunctionCard{{Name: "up"}}, nil)

// await makes workers wait for rings, one after the other.
func await(t *testing.T, c *broker.Client, class broker.Class, workers ...string) {
	t.Helper()
	for _, w := range workers {
		if err := c.Join(t.Context(), broker.RoleWorker, w, nil); err != nil {
			t.Fatal(err)
		}
		if must[bool](t)(c.JoinClass(t.Context(), w, class)) {
			if err := c.MarkAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := look(t, c, class, w); !got.Idle {
			t.Fatalf("%s does not wait: %+v", w, got)
		}
	}
}

// look asks for ready queues and waits if there are none.
func look(t *testing.T, c *broker.Client, class broker.Class, worker string) broker.ReadyReply {
	t.Helper()
	return must[broker.ReadyReply](t)(c.Ready(t.Context(), broker.ReadyQuery{Worker: worker, Class: class, Count: 10, Wait: true, Pace: pace}))
}

// isReady reports whether a queue is ready for a class.
func isReady(t *testing.T, c *broker.Client, class broker.Class, queue string) bool {
	t.Helper()
	for signature := range strings.Lines(c.Raw().HGet(t.Context(), c.Key("classes"), "w:"+class.ID).Val()) {
		if c.Raw().ZScore(t.Context(), c.Key("ready:"+strings.TrimSuffix(signature, "\n")), queue).Err() == nil {
			return true
		}
	}
	return false
}

// rung returns the workers among some that were rung for a queue, once for each ring, and empties their mailboxes.
func rung(t *testing.T, c *broker.Client, queue string, workers ...string) (told []string) {
	t.Helper()
	for _, w := range workers {
		mailbox := c.Key("p:" + w)
		for _, m := range c.Raw().XRange(t.Context(), mailbox, "-", "+").Val() {
			if q, ok := broker.ParseReady(fmt.Sprint(m.Values["w"])); ok && m.Values["m"] == broker.HintReady && q.Queue == queue {
				told = append(told, w)
			}
		}
		if err := c.Raw().XTrimMaxLen(t.Context(), mailbox, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return told
}

// fill scatters single items from an offset on.
func (f flow) fill(t *testing.T, c *broker.Client, from, n int64) {
	t.Helper()
	for i := from; i < from+n; i++ {
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", i, "x")}}))
	}
}

// takes makes a worker take up to n entries of the flow.
func (f flow) takes(t *testing.T, c *broker.Client, worker string, n int) broker.Taken {
	t.Helper()
	return must[[]broker.Taken](t)(c.Take(t.Context(), worker, n, 1, f.routes()))[0]
}

// complete replaces an entry by an item of b.
func (f flow) complete(t *testing.T, c *broker.Client, e broker.Entry, rest ...broker.Remainder) {
	t.Helper()
	done := broker.Completion{Entry: e, In: f.a, Remainders: rest}
	if rest == nil {
		done.Outs = []broker.Output{{Queue: f.b, Batch: framed("s1", e.First, "y")}}
	}
	if got := must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{done})); got[0] != broker.Committed {
		t.Fatalf("completed: %v", got)
	}
}

// A survey tells how many workers wait at queues.
func TestSurveyCountsWorkersAtQueues(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		if err := c.Join(t.Context(), broker.RoleWorker, "w9", nil); err != nil {
			t.Fatal(err)
		}
		all := len(must[broker.Survey](t)(c.Survey(t.Context())).Workers)
		if got := must[broker.Survey](t)(c.Survey(t.Context())).AtQueues; got != all {
			t.Errorf("%d of %d workers wait at queues before one has a class", got, all)
		}
		await(t, c, ups, "w2")
		if got := must[broker.Survey](t)(c.Survey(t.Context())).AtQueues; got != all {
			t.Errorf("%d of %d workers wait at queues beside one that waits for rings", got, all)
		}
	})
}

func TestUnreadEntriesWakeOneWorker(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		f.fill(t, c, 0, 2)
		if got := rung(t, c, "a", "w1", "w2", "w3"); len(got) != 1 || got[0] == "w1" {
			t.Fatalf("rung: %v", got)
		}
		if !isReady(t, c, ups, "a") {
			t.Error("the queue is not ready")
		}
		f.takes(t, c, "w2", 10)
		if isReady(t, c, ups, "a") {
			t.Error("the queue is ready without unread entries")
		}
	})
}

// A worker with a function is not rung for a stage that has a predicate of the same name.
func TestFilterRingsForPredicates(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		in := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "in", Codec: "raw", Type: "string"})))
		kept := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "kept", From: []string{"in"}, V: broker.VersionCounts})))
		filter := broker.Stage{ID: "kept", Kind: broker.KindFilter, Function: "up", Ins: []broker.Queue{in}, Outs: []broker.Out{{Queue: kept}}}
		source, _, err := c.Source(t.Context(), "s2", in, 0)
		if err := errors.Join(err, c.Stage(t.Context(), filter)); err != nil {
			t.Fatal(err)
		}
		predicates := broker.NewClass([]broker.FunctionCard{{Name: "up", Filter: true}}, nil)
		await(t, c, ups, "w2")
		await(t, c, predicates, "w3")
		must[broker.Scattered](t)(c.Scatter(t.Context(), source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s2", 0, "x")}}))
		if got := rung(t, c, "in", "w2", "w3"); !slices.Equal(got, []string{"w3"}) {
			t.Errorf("rung: %v", got)
		}
		if isReady(t, c, ups, "in") || !isReady(t, c, predicates, "in") {
			t.Error("the queue is ready for the function, or not for the predicate")
		}
	})
}

// Of a queue with many entries, each worker that takes some wakes one more.
func TestTakeWakesTheNextWorker(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		f.fill(t, c, 0, 3)
		first := rung(t, c, "a", "w2", "w3")
		f.takes(t, c, first[0], 1)
		if next := rung(t, c, "a", "w2", "w3"); len(next) != 1 || next[0] == first[0] {
			t.Errorf("rung first: %v, next: %v", first, next)
		}
		f.takes(t, c, first[0], 2)
		if isReady(t, c, ups, "a") {
			t.Error("the queue is ready without unread entries")
		}
	})
}

// A worker that has died waits no more: the ring goes to one that lives.
func TestDeadWorkerIsNotRung(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3", "w4")
		for _, w := range []string{"w3", "w4"} { // the last ones are rung first
			c.Raw().ZAdd(t.Context(), c.Key("idle:"+ups.ID), redis.Z{Score: 9e15, Member: w})
			c.Raw().Del(t.Context(), c.Key("p:"+w))
		}
		f.fill(t, c, 0, 1)
		if got := rung(t, c, "a", "w2"); len(got) != 1 {
			t.Error("the live worker was not rung")
		}
		if n := c.Raw().ZCard(t.Context(), c.Key("idle:"+ups.ID)).Val(); n != 0 {
			t.Errorf("%d workers wait", n)
		}
	})
}

func TestLostRingIsRepeated(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		f.fill(t, c, 0, 1)
		lost := rung(t, c, "a", "w2", "w3")
		if err := c.MarkAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := rung(t, c, "a", "w2", "w3"); len(got) != 1 || got[0] == lost[0] {
			t.Errorf("the ring of %v was lost, and the pass has rung %v", lost, got)
		}
	})
}

// A queue is not among the ready ones, as after the death of a server that had not stored that.
func TestPassFindsUnreadEntries(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2")
		f.fill(t, c, 0, 1)
		rung(t, c, "a", "w2")
		c.Raw().Del(t.Context(), must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("ready:*")).Result())...)
		look(t, c, ups, "w2")
		if err := c.MarkAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := rung(t, c, "a", "w2"); len(got) != 1 || !isReady(t, c, ups, "a") {
			t.Errorf("rung: %v", got)
		}
	})
}

func TestFullOutQueueIsNotReady(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		if err := c.Raw().HSet(t.Context(), c.Key("m:b"), "max", 1).Err(); err != nil {
			t.Fatal(err)
		}
		await(t, c, ups, "w2", "w3")
		f.fill(t, c, 0, 2)
		rung(t, c, "a", "w2", "w3")
		f.complete(t, c, f.takes(t, c, "w2", 1).Entries[0])
		rung(t, c, "a", "w2", "w3")
		if got := f.takes(t, c, "w2", 1); !got.Full {
			t.Fatalf("took %+v", got)
		}
		if isReady(t, c, ups, "a") || len(rung(t, c, "a", "w2", "w3")) > 0 {
			t.Error("the queue is ready although its out-queue is full")
		}
		must[[]string](t)(c.MarkUnread(t.Context(), []broker.StageQueue{{Queue: "a", Stage: "b"}})) // as a worker with the hint room
		if !isReady(t, c, ups, "a") {
			t.Error("the queue is not ready again")
		}
	})
}

func TestStageOverBacklogIsReady(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		if err := c.Unstage(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		await(t, c, ups, "w2")
		f.fill(t, c, 0, 1)
		if got := rung(t, c, "a", "w2"); len(got) > 0 {
			t.Fatal("rung without a stage")
		}
		if err := c.Stage(t.Context(), f.stage); err != nil {
			t.Fatal(err)
		}
		if got := rung(t, c, "a", "w2"); len(got) != 1 {
			t.Error("not rung for the backlog")
		}
		if err := c.Unstage(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if left := must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("ready:*")).Result()); len(left) > 0 {
			t.Error("the queue of a stage that has gone is ready")
		}
	})
}

// Each way in which an entry comes back rings.
func TestRequeuedEntriesRing(t *testing.T) {
	for name, back := range map[string]func(t *testing.T, c *broker.Client, f flow, e broker.Entry){
		"remainder": func(t *testing.T, c *broker.Client, f flow, e broker.Entry) {
			f.complete(t, c, e, broker.Remainder{Batch: framed("s1", e.First, "x")})
		},
		"retry": func(t *testing.T, c *broker.Client, f flow, e broker.Entry) {
			f.complete(t, c, e, broker.Remainder{Batch: framed("s1", e.First, "x"), Attempts: 1, Delay: time.Millisecond})
			for !isReady(t, c, ups, "a") {
				if err := c.RequeueDue(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		},
		"stop": func(t *testing.T, c *broker.Client, _ flow, _ broker.Entry) {
			if err := c.GiveBack(t.Context(), "w2", "a"); err != nil {
				t.Fatal(err)
			}
		},
		"deaths": func(t *testing.T, c *broker.Client, f flow, _ broker.Entry) {
			for range broker.Suspicious {
				if err := c.Die(t.Context(), "w2"); err != nil {
					t.Fatal(err)
				}
				if !isReady(t, c, ups, "a") {
					t.Fatal("the queue is not ready after a death")
				}
				if got := f.takes(t, c, "w2", 10); len(got.Entries) != 1 || isReady(t, c, ups, "a") {
					t.Fatalf("took %+v", got)
				}
			}
			if err := c.GiveBack(t.Context(), "w2", "a"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				f := makeFlow(t, c, 0)
				await(t, c, ups, "w2", "w3")
				f.fill(t, c, 0, 1)
				e := f.takes(t, c, "w2", 10).Entries[0]
				rung(t, c, "a", "w2", "w3")
				look(t, c, ups, "w3")
				back(t, c, f, e)
				if got := rung(t, c, "a", "w2", "w3"); len(got) == 0 || !isReady(t, c, ups, "a") {
					t.Errorf("rung: %v", got)
				}
			})
		})
	}
}

func TestPausedStageIsNotReady(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2")
		f.fill(t, c, 0, 2)
		before := look(t, c, ups, "w2").Queues
		must[broker.Stage](t)(c.PauseStage(t.Context(), "b", "me", ""))
		f.fill(t, c, 2, 1)
		if isReady(t, c, ups, "a") {
			t.Error("the queue of a paused stage is ready")
		}
		rung(t, c, "a", "w2")
		look(t, c, ups, "w2")
		must[broker.Stage](t)(c.ResumeStage(t.Context(), "b"))
		if got := rung(t, c, "a", "w2"); len(got) != 1 {
			t.Errorf("rung: %v", got)
		}
		if after := look(t, c, ups, "w2").Queues; len(after) != 1 || after[0].Revision == before[0].Revision {
			t.Errorf("ready before the pause: %v, after it: %v", before, after)
		}
	})
}

// A change of a stage is told to those workers only that wait at queues, or hold entries that it may get.
// Another worker sees the revision of the queues before the stage.
func TestFewWorkersAreToldOfStages(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0) // w1 waits at queues
		await(t, c, ups, "holds", "idle")
		if err := c.Join(t.Context(), broker.RoleWorker, "old", nil); err != nil {
			t.Fatal(err)
		}
		c.Raw().HDel(t.Context(), c.Key("direct"), "old") // an earlier version does not enter itself
		f.fill(t, c, 0, 3)
		f.takes(t, c, "holds", 1)
		before := look(t, c, ups, "idle").Queues[0]
		told := func(worker string) (stages []string) {
			for _, m := range c.Raw().XRange(t.Context(), c.Key("p:"+worker), "-", "+").Val() {
				if m.Values["m"] == broker.HintStages {
					stages = append(stages, fmt.Sprint(m.Values["w"]))
				}
			}
			return stages
		}
		last := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "c", From: []string{"a"}, Seal: true})))
		second := broker.Stage{ID: "c", Kind: broker.KindMap, Function: "up", Ins: []broker.Queue{f.b}, Outs: []broker.Out{{Queue: last}}}
		if err := c.Stage(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		for worker, want := range map[string]bool{"w1": true, "old": true, "holds": true, "idle": false} {
			if got := slices.Contains(told(worker), "c"); got != want {
				t.Errorf("%s was told of the stage: %v", worker, got)
			}
		}
		after := look(t, c, ups, "idle").Queues[0]
		if after.Queue != "a" || after.Revision == before.Revision {
			t.Errorf("the queue before the stage is %+v, and was %+v", after, before)
		}
	})
}

func TestClassesServeFunctionsTypesAndTags(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		in := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "in"})))
		s := broker.Stage{
			ID: "s", Kind: broker.KindMap, Function: "f", Ins: []broker.Queue{in}, Tags: []string{"gpu"},
			InCodec: "json", InType: "chan<- int\t", OutCodec: "json", OutType: `a"b\`,
		}
		f := broker.FunctionCard{Name: "f", InCodec: s.InCodec, In: s.InType, OutCodec: s.OutCodec, Out: s.OutType}
		other, untyped := f, broker.FunctionCard{Name: "f"}
		other.Out = "int"
		classes := map[string]broker.Class{
			"serves":    broker.NewClass([]broker.FunctionCard{{Name: "g"}, f}, []string{"gpu", "big"}),
			"untyped":   broker.NewClass([]broker.FunctionCard{untyped}, []string{"gpu"}),
			"types":     broker.NewClass([]broker.FunctionCard{other}, []string{"gpu"}),
			"tags":      broker.NewClass([]broker.FunctionCard{f}, []string{"gp"}),
			"functions": broker.NewClass([]broker.FunctionCard{{Name: "g"}}, []string{"gpu"}),
		}
		for worker, class := range classes {
			if worker != "untyped" {
				await(t, c, class, worker)
			}
		}
		source, _, err := c.Source(t.Context(), "s1", in, 1)
		if err == nil {
			err = c.Stage(t.Context(), s)
		}
		if err != nil {
			t.Fatal(err)
		}
		await(t, c, classes["untyped"], "untyped") // the stage was there before the class
		must[broker.Scattered](t)(c.Scatter(t.Context(), source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "x")}, {Batch: framed("s1", 1, "x")}}))
		for worker, class := range classes {
			got := must[broker.ReadyReply](t)(c.Ready(t.Context(), broker.ReadyQuery{Worker: worker, Class: class, Count: 10, Pace: pace})).Queues
			if want := worker == "serves" || worker == "untyped"; (len(got) == 1) != want {
				t.Errorf("%s: ready are %v", worker, got)
			}
		}
	})
}

func TestWorkerChangesClass(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		c.Raw().ZAdd(t.Context(), c.Key("idle:"+ups.ID), redis.Z{Score: 9e15, Member: "w2"}) // it would be rung first
		downs := broker.NewClass([]broker.FunctionCard{{Name: "down"}}, nil)
		if fresh := must[bool](t)(c.JoinClass(t.Context(), "w2", downs)); !fresh {
			t.Error("the class is not new")
		}
		f.fill(t, c, 0, 1)
		if got := rung(t, c, "a", "w2", "w3"); !slices.Equal(got, []string{"w3"}) {
			t.Errorf("rung: %v", got)
		}
		if got := look(t, c, ups, "w2"); !got.Gone {
			t.Errorf("in its old class it gets %+v", got)
		}
	})
}

// Nothing is left of workers, classes and functions.
func TestRingsAreForgotten(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, c *broker.Client, watcher *broker.Lease, worker string) error{
		"leave": func(ctx context.Context, c *broker.Client, _ *broker.Lease, worker string) error {
			return c.Leave(ctx, broker.RoleWorker, worker)
		},
		"death": func(ctx context.Context, c *broker.Client, watcher *broker.Lease, worker string) error {
			score := c.Raw().ZScore(ctx, c.Key("workers"), worker).Val()
			return watcher.Fence(ctx, broker.RoleWorker, worker, fmt.Sprintf("%.0f", score))
		},
		"old watcher": func(ctx context.Context, c *broker.Client, _ *broker.Lease, worker string) error {
			if err := c.Raw().ZRem(ctx, c.Key("workers"), worker).Err(); err != nil {
				return err
			}
			return c.MarkAll(ctx)
		},
		"at queues": func(ctx context.Context, c *broker.Client, _ *broker.Lease, worker string) error {
			return c.LeaveClass(ctx, worker)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, c *broker.Client) {
				t.Helper()
				f := makeFlow(t, c, 0)
				watcher := watching(t, c, "x9")
				await(t, c, ups, "w2", "w3")
				f.fill(t, c, 0, 1)
				for _, worker := range []string{"w2", "w3"} {
					if err := end(t.Context(), c, watcher, worker); err != nil {
						t.Fatal(err)
					}
				}
				for _, key := range must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("*")).Result()) {
					kind, _, _ := strings.Cut(strings.TrimPrefix(key, c.Key("")), ":")
					if slices.Contains([]string{"classes", "idle", "ready"}, kind) {
						t.Errorf("%s is left", key)
					}
				}
				want := []string{"w1"}
				if name == "at queues" {
					want = []string{"w1", "w2", "w3"}
				}
				got := c.Raw().HKeys(t.Context(), c.Key("direct")).Val()
				if slices.Sort(got); !slices.Equal(got, want) {
					t.Errorf("at queues wait %v", got)
				}
			})
		})
	}
}

// A function that no stage has any more is forgotten, also with its types.
func TestFunctionsOfRingsAreForgotten(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2")
		if err := c.MarkAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		signatures := func() (n int) {
			for field, text := range c.Raw().HGetAll(t.Context(), c.Key("classes")).Val() {
				if strings.HasPrefix(field, "s:") || strings.HasPrefix(field, "w:") && text != "" {
					n++
				}
			}
			return n
		}
		if n := signatures(); n != 2 {
			t.Fatalf("%d fields of functions", n)
		}
		if err := c.Unstage(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if err := c.MarkAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := signatures(); n != 0 {
			t.Errorf("%d fields of functions are left", n)
		}
		if err := c.Stage(t.Context(), f.stage); err != nil { // and is known again with its next stage
			t.Fatal(err)
		}
		f.fill(t, c, 0, 1)
		if got := rung(t, c, "a", "w2"); len(got) != 1 {
			t.Errorf("rung: %v", got)
		}
	})
}

// A stage that an earlier version has made is ready with the next pass.
func TestStageOfEarlierVersionIsFound(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		await(t, c, ups, "w2")
		c.Raw().HDel(t.Context(), c.Key("m:a"), "ring")
		f.fill(t, c, 0, 1)
		if got := rung(t, c, "a", "w2"); len(got) > 0 {
			t.Fatalf("rung: %v", got)
		}
		if err := c.MarkAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := rung(t, c, "a", "w2"); len(got) == 0 {
			t.Error("not rung")
		}
	})
}

// One worker at a time looks at all queues.
func TestOneWorkerMakesThePass(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		await(t, c, ups, "w2", "w3")
		asked := func(worker string, pace time.Duration) bool {
			return must[broker.ReadyReply](t)(c.Ready(t.Context(), broker.ReadyQuery{Worker: worker, Class: ups, Count: 1, Wait: true, Pace: pace})).Pass
		}
		if asked("w2", pace) || !asked("w2", 0) || asked("w3", pace) {
			t.Error("a pass that is not due is made, or one that is due is not")
		}
	})
}

// Entries beyond the window of their source are not ready until it moves; requeued ones are.
func TestEntriesBeyondWindowAreNotReady(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		backlog(t, c)
		fs := broker.NewClass([]broker.FunctionCard{{Name: "f"}}, nil)
		if err := c.Join(t.Context(), broker.RoleWorker, "w2", nil); err != nil {
			t.Fatal(err)
		}
		must[bool](t)(c.JoinClass(t.Context(), "w2", fs))
		must[[]string](t)(c.MarkUnread(t.Context(), []broker.StageQueue{{Queue: "q", Stage: "stage"}}))
		g := must[broker.Gather](t)(c.Consume(t.Context(), "g", "x", "out"))
		if _, err := c.Watch(t.Context(), g, broker.Path{Queue: "q"}, "0"); err != nil {
			t.Fatal(err)
		}
		take := func() broker.Taken {
			return must[[]broker.Taken](t)(c.Take(t.Context(), "w2", 30, 0, []broker.Route{{In: "q"}}))[0]
		}
		for got := take(); !got.Beyond; got = take() {
			if len(got.Entries) == 0 {
				t.Fatal("the window has no end")
			}
		}
		if isReady(t, c, fs, "q") {
			t.Error("the queue is ready at the end of the window")
		}
		if err := c.GiveBack(t.Context(), "w2", "q"); err != nil {
			t.Fatal(err)
		}
		if take(); !isReady(t, c, fs, "q") {
			t.Error("the queue is not ready although it has requeued entries")
		}
	})
}
