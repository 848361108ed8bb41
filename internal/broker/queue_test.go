package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestInvalidNamesAreRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q, made, err := c.Declare(t.Context(), broker.Queue{Name: strings.Repeat("n", 64)})
		if err != nil || !made {
			t.Fatal(made, err)
		}
		for _, name := range []string{"", "{x}", "a b", "a:b", "a/b", "a~b", "é", "a\n", "*", strings.Repeat("n", 65)} {
			_, _, declared := c.Declare(t.Context(), broker.Queue{Name: name})
			_, looked := c.Look(t.Context(), name)
			_, _, scattered := c.Source(t.Context(), name, q, 0)
			for verb, err := range map[string]error{"declare": declared, "look": looked, "source": scattered} {
				if !errors.Is(err, broker.ErrInvalidName) || !strings.Contains(err.Error(), "A-Z a-z 0-9") {
					t.Errorf("%s %q: %v", verb, name, err)
				}
			}
		}
	})
}

func TestConsumerExistsNamesAlternatives(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		if err := c.Stage(t.Context(), f.stage); err != nil {
			t.Errorf("the same stage again, as after a lost reply: %v", err)
		}
		if _, err := c.Consume(t.Context(), "g1", "x1", "b"); err != nil {
			t.Fatal(err)
		}
		second := broker.Stage{ID: "other", Kind: broker.KindMap, Ins: []broker.Queue{f.b}}
		third := broker.Stage{ID: "other", Kind: broker.KindMap, Ins: []broker.Queue{f.a}}
		_, fourth := c.Consume(t.Context(), "g2", "x1", "a")
		_, fifth := c.Consume(t.Context(), "g2", "x1", "b")
		for i, err := range []error{c.Stage(t.Context(), second), c.Stage(t.Context(), third), fourth, fifth} {
			if !errors.Is(err, broker.ErrConsumerExists) || !strings.Contains(err.Error(), "Multiplex") {
				t.Errorf("%d: %v", i, err)
			}
		}
		if stages, err := c.Stages(t.Context()); err != nil || len(stages) != 1 {
			t.Errorf("%+v, %v", stages, err)
		}
		if err := c.Unstage(t.Context(), f.stage.ID); err != nil {
			t.Fatal(err)
		}
		if err := c.Stage(t.Context(), third); err != nil {
			t.Errorf("after the stage was removed: %v", err)
		}
	})
}

// A deletion that was interrupted after any step is finished by the next call.
func TestDeletionCanBeResumed(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		for i, broken := range []func() error{
			func() error { return nil },
			func() error { return c.Raw().HSet(t.Context(), c.Key("m:a"), "dying", 1).Err() },
			func() error {
				return errors.Join(c.Raw().HSet(t.Context(), c.Key("m:a"), "dying", 1).Err(), c.Raw().Del(t.Context(), c.Key("q:a"), c.Key("s:s1")).Err())
			},
			func() error {
				return errors.Join(c.Raw().HSet(t.Context(), c.Key("m:a"), "dying", 1).Err(), c.Raw().Del(t.Context(), c.Key("q:a"), c.Key("r:a"), c.Key("src:a")).Err(),
					c.Raw().Del(t.Context(), c.Key("s:s1")).Err(), c.Raw().SRem(t.Context(), c.Key("queues"), "a").Err())
			},
		} {
			f := makeFlow(t, c, 0)
			if i < 2 {
				var many []broker.Parcel
				for at := range int64(1203) {
					many = append(many, broker.Parcel{Batch: framed("s1", at, "x")})
				}
				many = append(many, broker.Parcel{Batch: framed("s1", 1203, large(1))})
				must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, many))
				f.takeAll(t, c, "w1")
			}
			if err := broken(); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				refusedBy(t, c, f)
			}
			if err := errors.Join(c.Delete(t.Context(), "a"), c.Delete(t.Context(), "b")); err != nil {
				t.Fatal(err)
			}
			if err := c.Delete(t.Context(), "a"); !errors.Is(err, broker.ErrQueueNotFound) {
				t.Errorf("deleted twice: %v", err)
			}
			if left := leftOf(t, c); len(left) != 0 {
				t.Errorf("interrupted in way %d, left: %q", i, left)
			}
		}
	})
}

// leftOf returns the keys of queues.
func leftOf(t *testing.T, c *broker.Client) []string {
	t.Helper()
	return slices.DeleteFunc(must[[]string](t)(c.Raw().Keys(t.Context(), c.Key("*")).Result()), func(key string) bool {
		name := strings.TrimPrefix(key, c.Key(""))
		return slices.Contains([]string{"workers", "watcher", "direct", "executors", "w:w1", "e:x1", "p:w1", "p:x1", "runs"}, name)
	})
}

// refusedBy checks that all calls refuse a queue that is being deleted.
func refusedBy(t *testing.T, c *broker.Client, f flow) {
	t.Helper()
	_, scattered := c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "x")}})
	_, _, joined := c.Source(t.Context(), "s2", f.a, 0)
	_, _, declared := c.Declare(t.Context(), broker.Queue{Name: "a"})
	_, looked := c.Look(t.Context(), "a")
	_, consumed := c.Consume(t.Context(), "g1", "x1", "a")
	for verb, err := range map[string]error{"scatter": scattered, "source": joined, "declare": declared, "look": looked, "consume": consumed} {
		if !errors.Is(err, broker.ErrQueueNotFound) {
			t.Errorf("%s a queue that is being deleted: %v", verb, err)
		}
	}
}

func TestDeclareFindsExistingQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		q := broker.Queue{Name: "q", Codec: "json", Type: "int", Bounds: broker.Bounds{Max: 7, MaxBytes: 9}, Owner: "x", From: []string{"p", "o~1"}, Flow: "p"}
		first, made, err := c.Declare(t.Context(), q)
		again, twice, againErr := c.Declare(t.Context(), broker.Queue{Name: "q", Codec: "raw"})
		looked, lookErr := c.Look(t.Context(), "q")
		if err = errors.Join(err, againErr, lookErr); err != nil || !made || twice {
			t.Fatal(made, twice, err)
		}
		q.Inc = first.Inc
		for _, got := range []broker.Queue{first, again, looked} {
			if want := fmt.Sprintf("%+v", q); strings.TrimSuffix(fmt.Sprintf("%+v", got), "map[]}") != strings.TrimSuffix(want, "map[]}") {
				t.Errorf("found %+v, made %+v", got, q)
			}
		}
		if owned := must[[]string](t)(c.Owned(t.Context(), "x")); !slices.Equal(owned, []string{"q"}) {
			t.Errorf("x owns %q", owned)
		}
		if err := c.DeleteAll(t.Context(), []string{"q", "never"}); err != nil {
			t.Error(err)
		}
		if _, err := c.Waiting(t.Context(), "q"); !errors.Is(err, broker.ErrQueueNotFound) {
			t.Error(err)
		}
	})
}

func TestHeldEntriesAndMailboxes(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "one")}, {Batch: framed("s1", 1, "two")}}))
		entries := f.takeAll(t, c, "w1") // and the reply is lost
		held := must[[]broker.Entry](t)(c.Held(t.Context(), "w1", "a"))
		if len(held) != 2 || held[0].ID != entries[0].ID || texts(held[1].Batch)[0] != "two" {
			t.Fatalf("held %+v", held)
		}
		r := c.Reader("w1", time.Second)
		defer r.Close()
		if err := c.SendHint(t.Context(), "w1", broker.Hint{Kind: broker.HintRoom, What: "x"}); err != nil {
			t.Fatal(err)
		}
		none, hints, err := r.Read(t.Context(), []broker.StreamRef{{Queue: "a"}, {Queue: "a", Kind: broker.Returned}}, 10, time.Second)
		if err != nil || len(none) != 0 || !slices.Contains(hints, broker.Hint{Kind: broker.HintRoom, What: "x"}) || !slices.Contains(hints, broker.Hint{Kind: broker.HintStages, What: "b"}) {
			t.Fatalf("read %+v, %+v, %v", none, hints, err)
		}
		if _, hints, err = r.Read(t.Context(), nil, 10, 0); err != nil || len(hints) != 0 {
			t.Fatalf("read again: %+v, %v", hints, err)
		}
		if err := errors.Join(c.Leave(t.Context(), broker.RoleWorker, "w1"), c.SendHint(t.Context(), "w1", broker.Hint{})); err != nil && !strings.Contains(err.Error(), "nil") {
			t.Errorf("a mailbox that is gone: %v", err)
		}
	})
}

// The mailbox of a stopped process is bounded, for every way of sending hints.
func TestMailboxIsCapped(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		pipe := c.Raw().Pipeline()
		for range 1000 {
			for _, id := range []string{"w1", "x1"} {
				pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: c.Key("p:" + id), Values: []any{"m", "old"}})
			}
		}
		must[[]redis.Cmder](t)(pipe.Exec(t.Context()))
		_, canceled := c.Cancel(t.Context(), "s1.0", nil, time.Minute)
		for what, err := range map[string]error{
			"a hint":   c.SendHint(t.Context(), "w1", broker.Hint{Kind: broker.HintRoom}),
			"a stage":  c.Stage(t.Context(), f.stage),
			"a cancel": canceled,
			"a result": c.Resolve(t.Context(), broker.Resolved{Source: "s1", First: 1, Reply: "x1", TTL: time.Minute, Results: [][]byte{{1}}}),
		} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, id := range []string{"w1", "x1"} {
			if n := c.Raw().XLen(t.Context(), c.Key("p:"+id)).Val(); n != 1000 {
				t.Errorf("%s has %d messages", id, n)
			}
			if last := c.Raw().XRevRangeN(t.Context(), c.Key("p:"+id), "+", "-", 1).Val(); last[0].Values["m"] == "old" {
				t.Errorf("%s was not told", id)
			}
		}
	})
}

// A gather that dies as soon as it has the queue leaves no permanent key.
func TestGatherMailboxExpires(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		makeFlow(t, c, 0)
		must[broker.Gather](t)(c.Consume(t.Context(), "g1", "x1", "b"))
		if ttl := c.Raw().PTTL(t.Context(), c.Key("p:g1")).Val(); ttl <= 0 {
			t.Errorf("its mailbox has a lifetime of %v", ttl)
		}
	})
}

// Records of a newer version are ignored, and logged once.
func TestOtherVersionsAreIgnored(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		c.Raw().HSet(t.Context(), c.Key("m:a"), "v", 3)
		_, looked := c.Look(t.Context(), "a")
		_, _, declared := c.Declare(t.Context(), broker.Queue{Name: "a"})
		_, gathered := c.Consume(t.Context(), "g1", "x1", "a")
		for _, err := range []error{looked, declared, gathered} {
			if !errors.Is(err, broker.ErrVersion) {
				t.Errorf("a queue of version 3: %v", err)
			}
		}
		for _, record := range []string{`{"v":2,"id":"b","ins":7}`, `{"v":2,"id":"b","kind":"map"}`, `{"v":4,"id":"b","kind":"map"}`} {
			c.Raw().HSet(t.Context(), c.Key("stages"), f.stage.ID, record)
			if stages := must[[]broker.Stage](t)(c.Stages(t.Context())); len(stages) != 0 {
				t.Errorf("stages of other versions are read: %+v", stages)
			}
		}
	})
}

// Deleting a queue removes the stages around it, of any executor and with any other queues. No
// stage can be made around a queue that is being deleted.
func TestStagesAreDeletedWithQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		behind := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "c"})))
		next := broker.Stage{ID: "c", Kind: broker.KindMap, Function: "up", Ins: []broker.Queue{f.b}, Outs: []broker.Out{{Queue: behind}}}
		if err := c.Stage(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if some := must[[]broker.Stage](t)(c.StagesOf(t.Context(), []string{"none", "c"})); len(some) != 1 || some[0].ID != "c" {
			t.Errorf("read %+v", some)
		}
		if err := c.Delete(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if stages := must[[]broker.Stage](t)(c.Stages(t.Context())); len(stages) != 0 {
			t.Errorf("left are %+v", stages)
		}
		if err := c.Stage(t.Context(), f.stage); !errors.Is(err, broker.ErrQueueNotFound) || !strings.Contains(err.Error(), `"b"`) {
			t.Errorf("a stage into what was deleted: %v", err)
		}
		if consumer := c.Raw().HGet(t.Context(), c.Key("m:a"), "consumer").Val(); consumer != "" {
			t.Errorf("the consumer of a is %q", consumer)
		}
		if left := c.Raw().HKeys(t.Context(), c.Key("m:c")).Val(); slices.ContainsFunc(left, func(field string) bool { return strings.HasPrefix(field, "s:") }) {
			t.Errorf("c has %q", left)
		}
	})
}

// An executor makes and deletes stages all its life: none may stay in its memory.
func TestDeletedStagesLeaveCache(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		for range 3 {
			makeFlow(t, c, 0)
			if err := c.DeleteAll(t.Context(), []string{"a", "b"}); err != nil {
				t.Fatal(err)
			}
			if n := c.Remembered(); n != 0 {
				t.Errorf("the records of %d deleted stages are in memory", n)
			}
		}
		makeFlow(t, c, 0)
		must[[]broker.Stage](t)(c.Stages(t.Context()))
		if n := c.Remembered(); n != 1 {
			t.Errorf("%d records are in memory where all of 1 stage were read", n)
		}
		if err := c.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if n := c.Remembered(); n != 0 {
			t.Errorf("the records of %d deleted stages are in memory", n)
		}
	})
}

func declared(q broker.Queue, _ bool, err error) (broker.Queue, error) { return q, err }
