package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/embedded"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestDeadLettersKeepTheirEntry(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{},
			[]broker.Parcel{{Batch: framed("s1", 0, "bad")}, {Batch: framed("s1", 1, large(1))}}))
		done := f.whole(f.takeAll(t, c, "w1"))
		for i := range done {
			done[i].Dead = &batch.Failure{Code: batch.CodeCrashed, Message: "why"}
			done[i].Entry.Lost, done[i].Entry.Frame = nil, nil
		}
		for _, want := range []broker.Outcome{broker.Committed, broker.Superseded} {
			outcomes := must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
			if !slices.Equal(outcomes, []broker.Outcome{want, want}) {
				t.Fatalf("completed %v, not %s", outcomes, want)
			}
		}
		letters := must[[]broker.DeadLetter](t)(c.Dead(t.Context(), "", 10))
		if len(letters) != 2 || letters[0].Entry.Queue != "a" || letters[0].Why.Message != "why" || time.Since(letters[0].At) > time.Minute {
			t.Fatalf("the dead letters are %+v", letters)
		}
		if behind := must[[]broker.DeadLetter](t)(c.Dead(t.Context(), letters[0].Entry.ID, 10)); len(behind) != 1 || behind[0].Entry.ID != letters[1].Entry.ID {
			t.Fatalf("behind the first are %+v", behind)
		}
		second := must[broker.DeadLetter](t)(c.Letter(t.Context(), letters[1].Entry.ID))
		if !slices.Equal(texts(second.Entry.Batch), []string{large(1)}) || second.Entry.First != 1 {
			t.Fatalf("the second one is %.100v", second)
		}
		for _, d := range letters {
			if err := c.DeleteDeadLetter(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Letter(t.Context(), letters[0].Entry.ID); !errors.Is(err, broker.ErrDeadLetterNotFound) {
			t.Errorf("it is still there: %v", err)
		}
		if n := c.Raw().Exists(t.Context(), c.Key("dead"), c.Key("f:"+second.Entry.Payload)).Val(); n != 0 {
			t.Errorf("%d keys are left", n)
		}
	})
}

func TestRetriedDeadLetterIsScatteredOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "good")}, {Batch: framed("s1", 1, "bad")}}))
		done := f.whole(f.takeAll(t, c, "w1"))
		done[1].Dead = &batch.Failure{Message: "why"}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		id := must[[]broker.DeadLetter](t)(c.Dead(t.Context(), "", 10))[0].Entry.ID
		d := must[broker.DeadLetter](t)(c.Letter(t.Context(), id))
		if err := c.Retry(t.Context(), d, c, f.a); !errors.Is(err, broker.ErrSealed) {
			t.Fatalf("into a sealed queue: %v", err)
		}
		c.Raw().HSet(t.Context(), c.Key("m:a"), "sealed", 0)
		if err := c.Retry(t.Context(), d, c, f.a); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Letter(t.Context(), id); !errors.Is(err, broker.ErrDeadLetterNotFound) {
			t.Errorf("it is still there: %v", err)
		}
		// Again, as if the first call had died before it deleted the letter.
		if err := c.Retry(t.Context(), d, c, f.a); err != nil {
			t.Errorf("a second time: %v", err)
		}
		again := f.takeAll(t, c, "w1")
		if len(again) != 1 || again[0].Source != "dead-"+id || again[0].First != 0 || again[0].Crashes != 0 || !slices.Equal(texts(again[0].Batch), []string{"bad"}) {
			t.Fatalf("it comes back as %+v", again)
		}
		other := must[broker.Queue](t)(declared(c.Declare(t.Context(), broker.Queue{Name: "other"})))
		if err := c.Retry(t.Context(), d, c, other); !errors.Is(err, broker.ErrElsewhere) {
			t.Errorf("into another queue: %v", err)
		}
	})
}

// A dead letter names the last five workers that died with it. The names stay when an entry is
// split, delayed and requeued.
func TestDeadLettersNameWorkersThatDied(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f, watcher := makeFlow(t, c, 0), watching(t, c, "x1")
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "bad", "worse")}}))
		var e broker.Entry
		for i := range 7 {
			worker := fmt.Sprint("w", i)
			if err := c.Join(t.Context(), broker.RoleWorker, worker, map[string]string{"host": fmt.Sprint("host ", i), "pid": "7"}); err != nil {
				t.Fatal(err)
			}
			if i == 3 { // the suspect is split, and its first item is tried again after a delay
				splitSuspect(t, c, f, worker)
			}
			if e = f.takeAll(t, c, worker)[0]; e.Crashes != i {
				t.Fatalf("crash %d: %+v", i, e)
			}
			score := must[float64](t)(c.Raw().ZScore(t.Context(), c.Key("workers"), worker).Result())
			err := watcher.Fence(t.Context(), broker.RoleWorker, worker, strconv.FormatFloat(score, 'f', -1, 64))
			if err := errors.Join(err, c.Requeue(t.Context(), worker)); err != nil {
				t.Fatal(err)
			}
		}
		e = f.takeAll(t, c, "alive")[0]
		done := broker.Completion{Entry: e, In: f.a, Dead: &batch.Failure{Code: batch.CodeCrashed}}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{done}))
		letters := must[[]broker.DeadLetter](t)(c.Dead(t.Context(), "", 10))
		if len(letters) != 2 || len(letters[0].Deaths) != 3 || len(letters[1].Deaths) != 5 {
			t.Fatalf("the dead letters are %+v", letters)
		}
		for i, d := range letters[1].Deaths {
			if d.Worker != fmt.Sprint("w", i+2) || d.Host != fmt.Sprint("host ", i+2) || time.Since(d.At).Abs() > time.Minute {
				t.Errorf("death %d is %+v", i, d)
			}
		}
	})
}

// splitSuspect completes a suspect with its items as remainders. The first one waits for another
// attempt, and the second one becomes a dead letter.
func splitSuspect(t *testing.T, c *broker.Client, f flow, worker string) {
	t.Helper()
	e := f.takeAll(t, c, worker)[0]
	first, second := framed("s1", 0, "bad"), framed("s1", 1, "worse")
	rests := []broker.Remainder{{Batch: first, Delay: time.Millisecond, Attempts: 1}, {Batch: second}}
	must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{{Entry: e, In: f.a, Remainders: rests}}))
	done := broker.Completion{Entry: f.takeAll(t, c, worker)[0], In: f.a, Dead: &batch.Failure{Code: batch.CodeCrashed}}
	must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{done}))
	testkit.Eventually(t, func() bool {
		if err := c.RequeueDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		return must[broker.Backlog](t)(c.Waiting(t.Context(), "a")).Delayed == 0
	}, "the first item is due")
}

// Only the newest dead letters are kept, so that a foreign program that floods a queue cannot fill
// the memory.
func TestOldestDeadLettersAreDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[string](t)(c.Raw().Set(t.Context(), c.Key("f:old"), "payload", 0).Result())
		for range 100 {
			pipe := c.Raw().Pipeline()
			for range 100 {
				pipe.Do(t.Context(), "XADD", c.Key("dead"), "*", "q", "a", "f", "old")
			}
			must[[]redis.Cmder](t)(pipe.Exec(t.Context()))
		}
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "bad")}}))
		done := f.whole(f.takeAll(t, c, "w1"))
		done[0].Dead = &batch.Failure{Message: "why"}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		if n := c.Raw().XLen(t.Context(), c.Key("dead")).Val(); n != 10_000 || c.Raw().Exists(t.Context(), c.Key("f:old")).Val() != 0 {
			t.Errorf("%d are kept, or the payload of the oldest", n)
		}
	})
}

func TestDelayedEntriesAreDeletedWithQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, large(0))}}))
		e := f.takeAll(t, c, "w1")[0]
		rest := broker.Remainder{Batch: e.Batch, Attempts: 1, Delay: time.Hour}
		must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{{Entry: e, In: f.a, Remainders: []broker.Remainder{rest}}}))
		if b := must[broker.Backlog](t)(c.Waiting(t.Context(), "a")); b != (broker.Backlog{Delayed: 1, Entries: 1, Added: 1}) {
			t.Fatalf("the backlog is %+v", b)
		}
		if err := c.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"due", "l:a", "x:a", "r:a", "f:*"} {
			if found := c.Raw().Keys(t.Context(), c.Key(key)).Val(); len(found) > 0 {
				t.Errorf("left: %q", found)
			}
		}
	})
}

// The clock of Redis decides when an entry is due. It may differ from that of the worker that
// delayed the entry.
func TestDelayUsesClockOfRedis(t *testing.T) {
	for _, apart := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(apart.String(), func(t *testing.T) {
			server := embedded.New()
			t.Cleanup(server.Close)
			now := time.Now().Add(apart)
			server.StandAt(now)
			c, err := server.Open("redis://127.0.0.1/", nil)
			c = opened(t, c, err)
			f := makeFlow(t, c, 0)
			scatterBatches(t, c, f, 1)
			e := f.takeAll(t, c, "w1")[0]
			rest := broker.Remainder{Batch: e.Batch, Attempts: 1, Delay: time.Minute}
			must[[]broker.Outcome](t)(c.Complete(t.Context(), []broker.Completion{{Entry: e, In: f.a, Remainders: []broker.Remainder{rest}}}))
			for want, later := range []time.Duration{59 * time.Second, 61 * time.Second} {
				server.StandAt(now.Add(later))
				if err := c.RequeueDue(t.Context()); err != nil {
					t.Fatal(err)
				}
				if back := f.takeAll(t, c, "w1"); len(back) != want {
					t.Errorf("after %v there come back %+v", later, back)
				}
			}
		})
	}
}
