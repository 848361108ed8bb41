package broker_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// Calls have the names of their scripts or commands, each call once. Before they are measured, none is
// counted.
func TestCallsAreMeasuredByVerb(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		if calls := c.Calls(); len(calls.Times) > 0 || len(calls.Errors) > 0 {
			t.Errorf("calls are measured from the start: %v", calls)
		}
		c.MeasureCalls()
		c.MeasureCalls()
		scatterBatches(t, c, f, 3)
		if err := c.MarkWatched(t.Context()); err != nil {
			t.Fatal(err)
		}
		must[[]broker.StageReport](t)(c.Reports(t.Context(), []string{"a", "b"}))
		calls := c.Calls()
		for verb, want := range map[string]int64{"set": 1, "pipeline": 1, "eval": 0, "evalsha": 0} {
			times := calls.Times[verb]
			if got := times.Count(); got != want || times.Sum() < 0 {
				t.Errorf("%d calls of %s in %v, want %d", got, verb, times.Sum(), want)
			}
		}
		if scatter := calls.Times["scatter"]; scatter.Count() < 1 || scatter.Sum() <= 0 {
			t.Errorf("%d calls of scatter in %v among %v", scatter.Count(), scatter.Sum(), slices.Collect(maps.Keys(calls.Times)))
		}
		if len(calls.Errors) > 0 {
			t.Errorf("errors %v", calls.Errors)
		}
	})
}

// A script has the name of its file, also if a payload goes with it.
func TestScriptsHaveTheNamesOfTheirFiles(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".lua"); name != "lib" && name != "lib_limits" && name != "lib_rings" {
			want = append(want, name)
		}
	}
	if got := slices.Sorted(maps.Values(broker.ScriptNames())); !slices.Equal(got, want) {
		t.Errorf("the scripts are %v, the files %v", got, want)
	}
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		c.MeasureCalls()
		large := framed(f.source.Name, 0, strings.Repeat("x", 10<<10))
		must[broker.Scattered](t)(c.Scatter(t.Context(), f.source, "", broker.Window{}, []broker.Parcel{{Batch: large}}))
		if scatter := c.Calls().Times["scatter"]; scatter.Count() != 1 {
			t.Errorf("the calls are %v", c.Calls().Times)
		}
	})
}

// A failed call is counted by the kind of its error; one that its caller gives up is none.
func TestFailedCallsAreCountedByKind(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	admin, err := broker.Open(server.URL(), broker.Options{})
	admin = opened(t, admin, err)
	raw := admin.Raw()
	if err := raw.Do(t.Context(), "ACL", "SETUSER", "few", "on", ">x", "~*", "&*", "+@all", "-set").Err(); err != nil {
		t.Fatal(err)
	}
	proxy := testkit.NewProxy(t, server.Addr())
	c, err := broker.Open(proxy.URL(), broker.Options{Username: "few", Password: "x"})
	c = opened(t, c, err)
	c.MeasureCalls()
	counted := func(kind string, call func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		before := c.Calls().Errors[kind]
		if err := call(ctx); err == nil || c.Calls().Errors[kind] == before {
			t.Errorf("a call fails with %v: %v", err, c.Calls().Errors)
		}
	}
	f := makeFlow(t, c, 0)
	scatter := func(ctx context.Context) error {
		_, err := c.Scatter(ctx, f.source, "", broker.Window{}, []broker.Parcel{{Batch: framed(f.source.Name, 0, "x")}})
		return err
	}
	counted(broker.CallDenied, c.MarkWatched)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	before := maps.Clone(c.Calls().Errors)
	if err := c.MarkWatched(ended); !errors.Is(err, context.Canceled) || !maps.Equal(before, c.Calls().Errors) {
		t.Errorf("a call that was given up: %v, %v", err, c.Calls().Errors)
	}
	counted(broker.CallRefused, func(ctx context.Context) error {
		if err := raw.Do(ctx, "SET", admin.Key("q:wrong"), 1).Err(); err != nil {
			t.Fatal(err)
		}
		return c.Raw().XLen(ctx, admin.Key("q:wrong")).Err()
	})
	if err := raw.ConfigSet(t.Context(), "maxmemory", "1mb").Err(); err != nil {
		t.Fatal(err)
	}
	counted(broker.CallFull, scatter)
	proxy.Pause()
	counted(broker.CallTimeout, scatter)
	proxy.Resume()
	proxy.Cut()
	server.Kill()
	counted(broker.CallConnection, scatter)
}
