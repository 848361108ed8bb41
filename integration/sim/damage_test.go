//go:build !race

package sim

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// damages change the data outside of the protocol.
var damages = []fault{
	damage("the scripts are flushed", func(ctx context.Context, raw *redis.Client) error {
		return raw.ScriptFlush(ctx).Err()
	}),
	damage("consumers are deleted with what they hold", func(ctx context.Context, raw *redis.Client) error {
		return eachStream(ctx, raw, ":q:", func(stream string) error {
			for _, c := range raw.XInfoConsumers(ctx, stream, "w").Val() {
				_ = raw.XGroupDelConsumer(ctx, stream, "w", c.Name) // the queue may be deleted already
			}
			return nil
		})
	}),
	damage("a stranger writes into every queue", func(ctx context.Context, raw *redis.Client) error {
		for _, part := range []string{":q:", ":r:"} {
			err := eachStream(ctx, raw, part, func(stream string) error {
				return raw.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []any{"s", "nobody", "o", "-1", "n", "many", "p", "\xff"}}).Err()
			})
			if err != nil {
				return err
			}
		}
		return nil
	}),
	damage("mailboxes are emptied", func(ctx context.Context, raw *redis.Client) error {
		return eachStream(ctx, raw, ":p:", func(stream string) error { return raw.XTrimMaxLen(ctx, stream, 0).Err() })
	}),
}

// The clock of Redis jumps and continues from there.
var jumps = []fault{jump("the clock jumps ahead", time.Hour), jump("the clock jumps back", -time.Hour)}

// jump replaces the clock of the server by that of the bubble, shifted by by.
func jump(name string, by time.Duration) fault {
	return fault{name, false, func(c *conn, _ []byte) (bool, int, error) {
		w := c.actor.world
		w.server.StandAt(time.Now().Add(by))
		go func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case now := <-tick.C:
					w.server.StandAt(now.Add(by))
				case <-w.over:
					return
				}
			}
		}()
		return false, 0, nil
	}}
}

func eachStream(ctx context.Context, raw *redis.Client, part string, do func(stream string) error) error {
	keys, err := raw.Keys(ctx, "*"+part+"*").Result()
	for _, key := range keys {
		if err == nil {
			err = do(key)
		}
	}
	return err
}

func damage(name string, do func(context.Context, *redis.Client) error) fault {
	return fault{name, false, func(c *conn, _ []byte) (bool, int, error) {
		if err := c.actor.behind(do); err != nil {
			panic(name + ": " + err.Error())
		}
		return false, 0, nil
	}}
}

// behind changes the data without a request of an actor.
func (w *world) behind(do func(context.Context, *redis.Client) error) error {
	raw := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", Dialer: w.server.Dial, Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer raw.Close()
	return do(context.Background(), raw)
}

// Each kind of damage at each request of a flow is repaired.
func TestEachDamageAtEachRequest(t *testing.T) {
	t.Parallel()
	n := simulate(t, nil, pair).world.requests
	for _, f := range slices.Concat(damages, jumps) {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for at := 0; at < n; at += *stride {
				r := simulate(t, map[int]fault{at: f}, pair)
				if err := r.check(); err != nil {
					t.Fatalf("at request %d: %v\n%s", at, err, r.world.last())
				}
			}
		})
	}
}

// Redis loses all its data: both ends report that soon, and all results until then are correct.
func TestFlushAtEachRequest(t *testing.T) {
	t.Parallel()
	flush := damage("all is flushed", func(ctx context.Context, raw *redis.Client) error { return raw.FlushAll(ctx).Err() })
	n := simulate(t, nil, pair).world.requests
	told := 0
	for at := 0; at < n; at += *stride {
		r := simulate(t, map[int]fault{at: flush}, pair)
		if r.err != nil {
			told++
		}
		for i, v := range r.got {
			if v != number(2*(i+1)) {
				t.Fatalf("at request %d: the results are %v\n%s", at, r.got, r.world.last())
			}
		}
		if r.err == nil && len(r.got) != items {
			t.Fatalf("at request %d: %d results, and no error\n%s", at, len(r.got), r.world.last())
		}
		if r.took > watchdog/2 {
			t.Fatalf("at request %d: it took %v until %v\n%s", at, r.took, r.err, r.world.last())
		}
	}
	if told == 0 {
		t.Error("nobody was told")
	}
}
