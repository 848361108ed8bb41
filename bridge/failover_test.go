package bridge_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A failover loses the last items of a scatter and its end, and no process sends them again.
func TestAScatterWhoseTailWasLostEnds(t *testing.T) {
	server, ns := testkit.SharedRedis(t), testkit.Namespace(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
	defer raw.Close()
	ex := must(executor.New(t.Context(), server.URL()+"/?ns="+ns, executor.Lease(lease)))(t)
	q := scatter(t, ex, upTo(10), bridge.Name("numbers"), bridge.Seal())
	if err := ex.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	prefix := "{" + ns + ":0}:"
	source := raw.ZRange(t.Context(), prefix+"src:numbers", 0, -1).Val()[0]
	entries := raw.XRange(t.Context(), prefix+"q:numbers", "-", "+").Val()
	last := entries[len(entries)-1]
	for _, err := range []error{
		raw.XDel(t.Context(), prefix+"q:numbers", last.ID).Err(),
		raw.HSet(t.Context(), prefix+"s:"+source, "stored", last.Values["o"], "end", -1).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	next, lost := 0, 0
	for v, err := range bridge.All(t.Context(), q) {
		if errors.Is(err, executor.ErrLost) && bridge.IsItemError(err) && strings.Contains(err.Error(), "lost") {
			lost++
		} else if err != nil || v != next {
			t.Errorf("%d, %v in the place of %d", v, err, next)
		}
		next++
	}
	if next != 10 || lost == 0 {
		t.Errorf("%d results, %d are lost", next, lost)
	}
	if err := errors.Join(ex.Delete(t.Context(), "numbers"), ex.Close()); err != nil {
		t.Error(err)
	}
}
