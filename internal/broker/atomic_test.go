package broker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A between hook runs other calls before the at-th request of a process, counted from now. If dies
// is set, the process dies there.
type between struct {
	at   int // 0: never
	do   func()
	dies bool
	dead bool
}

var errDead = errors.New("the process is dead")

func (b *between) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := b.step(); err != nil {
			cmd.SetErr(err)
			return err
		}
		return next(ctx, cmd)
	}
}

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := b.step(); err != nil {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
			return err
		}
		return next(ctx, cmds)
	}
}

func (b *between) step() error {
	if b.at--; b.at == 0 {
		b.dead = b.dies
		b.do()
	}
	if b.dead {
		return errDead
	}
	return nil
}

// A process moves entries. Between any two of its requests other processes act, or it dies: each
// item is still moved exactly once. An entry that a process has seen may be completed or requeued
// by another one before it acts, and a fenced worker may read once more.
func TestMoveIsAtomic(t *testing.T) {
	moves := map[string]func(t *testing.T, c *broker.Client, f flow, held []broker.Entry) error{
		"back": func(t *testing.T, c *broker.Client, _ flow, _ []broker.Entry) error {
			t.Helper()
			return c.Die(t.Context(), "w1")
		},
		"finish": func(t *testing.T, c *broker.Client, f flow, held []broker.Entry) error {
			t.Helper()
			_, err := c.Complete(t.Context(), f.whole(held))
			return err
		},
	}
	for name, move := range moves {
		for _, dies := range []bool{false, true} {
			for meanwhile, other := range moves {
				t.Run(fmt.Sprintf("%s %s %v", name, meanwhile, dies), func(t *testing.T) {
					onBoth(t, func(t *testing.T, c *broker.Client) {
						t.Helper()
						f, b, sent := makeFlow(t, c, 0), &between{}, int64(0)
						c.Raw().AddHook(b)
						for at, met := 1, true; met; at++ {
							f.send(t, c, &sent)
							held := f.takeAll(t, c, "w1")
							*b = between{at: at, dies: dies, do: func() {
								dead := b.dead
								b.dead = false
								if err := other(t, c, f, held); err != nil {
									t.Error(err)
								}
								f.send(t, c, &sent)
								f.takeAll(t, c, "w1")
								b.dead = dead
							}}
							err := move(t, c, f, held)
							if met = b.at <= 0; err != nil && !errors.Is(err, errDead) {
								t.Fatal(err)
							}
							*b = between{}
							f.once(t, c, sent)
						}
					})
				})
			}
		}
	}
}

// send stores two more items, a small and a large one.
func (f flow) send(t *testing.T, c *broker.Client, sent *int64) {
	t.Helper()
	at := *sent
	must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{
		{Batch: framed("s1", at, "item")}, {Batch: framed("s1", at+1, large(int(at)))},
	}))
	*sent += 2
}

// once requeues held entries, completes the rest, and checks that each item exists exactly once.
func (f flow) once(t *testing.T, c *broker.Client, sent int64) {
	t.Helper()
	if err := c.Die(t.Context(), "w1"); err != nil {
		t.Fatal(err)
	}
	must[[]broker.Outcome](t)(c.Complete(t.Context(), f.whole(f.takeAll(t, c, "w2"))))
	var want []string
	for at := range sent {
		want = append(want, fmt.Sprintf("%d+1", at))
	}
	got := queued(t, c, "b")
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Fatalf("of %d items there are %q", sent, got)
	}
}

// emptyReplies replies to every script with an empty reply.
type emptyReplies struct{ between }

func (s *emptyReplies) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if c, ok := cmd.(*redis.Cmd); ok {
			c.SetVal([]any{})
		}
		return nil
	}
}

// An unexpected reply is an error. If it were read as zeros, a scatter would repeat the same call
// for ever.
func TestUnexpectedReplyIsAnError(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		done := f.whole(nil)
		c.Raw().AddHook(&emptyReplies{})
		_, scattered := c.Scatter(t.Context(), f.source, "x1", broker.Window{}, []broker.Parcel{{Batch: framed("s1", 0, "item")}})
		_, completed := c.Complete(t.Context(), append(done, broker.Completion{}))
		for what, err := range map[string]error{"scatter": scattered, "finish": c.Finish(t.Context(), f.source, 0), "complete": completed} {
			if err == nil {
				t.Errorf("%s takes it for an answer", what)
			}
		}
	})
}

// A recorder keeps the last completion that was sent with payloads.
type recorder struct {
	between
	args []any
}

func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		r.args = cmds[len(cmds)-1].Args()
		return next(ctx, cmds)
	}
}

// A completion that is repeated unchanged keeps the payload that it has stored.
func TestRepeatedCompletionKeepsPayload(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f, r := makeFlow(t, c, 0), &recorder{}
		scatterBatches(t, c, f, 1)
		done := f.whole(f.takeAll(t, c, "w1"))
		done[0].Outs[0].Batch = framed("s1", 0, large(1))
		c.Raw().AddHook(r)
		must[[]broker.Outcome](t)(c.Complete(t.Context(), done))
		again, err := c.Raw().Do(t.Context(), r.args...).Slice()
		if err != nil || len(again) != 1 || again[0] != "lost" {
			t.Fatalf("the same again: %v, %v", again, err)
		}
		if keys := c.Raw().Keys(t.Context(), c.Key("f:*")).Val(); len(keys) != 1 {
			t.Errorf("there are the payloads %q", keys)
		}
	})
}
