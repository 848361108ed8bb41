package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

const (
	fleetSize = 4
	slots     = 4
	queueName = "orders"
)

// A flow is a stream through two functions, with real processes.
type flow struct {
	t           *testing.T
	s           scenario
	rng         *rand.Rand
	apart       bool // the two stages are not fused
	dir         string
	server      *testkit.Server
	proxy       *testkit.Proxy
	watcher     *executor.Executor // may be the watcher, and deletes the queues
	book        *book
	started     int
	strikes     int
	killed      int   // executors
	alone       int64 // entries that ran alone, since two workers had died with them
	interrupted int64 // gathers that held items when they were killed

	peaks peaks
	all   []*process // also processes that have ended
	fleet []*process
	feeds []*process // producers, or the bridge
	sink  *process   // the gather, or the bridge
}

// begin starts a flow and returns when it yields results.
func begin(t *testing.T, s scenario, seed uint64) *flow {
	t.Helper()
	f := &flow{t: t, s: s, apart: seed%2 == 0, rng: rand.New(rand.NewPCG(seed, 0)), dir: t.TempDir()}
	var onDisk []string
	if s.disk != "" {
		onDisk = []string{"--appendonly", "yes", "--appendfsync", s.disk}
	}
	f.server = testkit.StartRedis(t, onDisk...)
	f.proxy = testkit.NewProxy(t, f.server.Addr())
	var err error
	if f.book, err = openBook(filepath.Join(f.dir, "0000-test.ledger")); err != nil {
		t.Fatal(err)
	}
	if f.watcher, err = executor.New(t.Context(), f.server.URL(), executor.Lease(s.lease)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.watcher.Close() }) // if the test has failed
	for range fleetSize {
		f.fleet = append(f.fleet, f.worker())
	}
	if s.both != "" {
		f.sink = f.start(f.role(s.both, 1))
		f.feeds = []*process{f.sink}
	} else {
		f.feeds = []*process{f.start(f.role("produce", 1)), f.start(f.role("produce", 2))}
		f.sink = f.start(f.role("gather", 0))
	}
	f.progress()
	return f
}

func (f *flow) role(name string, source uint16) role {
	return role{Name: name, Apart: f.apart, URL: f.proxy.URL(), Lease: f.s.lease, Slots: slots, Queue: queueName, Source: source, Items: f.s.items(), Rate: f.s.rate, Max: f.s.max, Manual: f.s.manual, Mortal: f.s.mortal}
}

func (f *flow) worker() *process { return f.start(f.role("work", 0)) }

// progress waits until the gather has taken further results.
func (f *flow) progress() {
	f.t.Helper()
	size := func() int64 {
		info, err := os.Stat(f.sink.role.Ledger)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	before := size()
	testkit.Eventually(f.t, func() bool { return size() > before+64*recordSize || f.sink.gone() }, "results come out")
}

// storm injects the faults of the scenario.
func (f *flow) storm() {
	f.t.Helper()
	tick := time.NewTicker(f.s.every)
	defer tick.Stop()
	for range f.s.times() {
		<-tick.C
		if f.sink.gone() {
			f.t.Fatalf("the gather has ended: %v", f.sink.err)
		}
		f.book.write(record{event: struck})
		f.strikes++
		f.s.strike(f)
	}
}

// finish ends the stream.
func (f *flow) finish() {
	f.t.Helper()
	f.progress()
	for _, p := range f.feeds {
		p.end(f.t)
	}
	if f.s.both == "" {
		for _, p := range f.feeds {
			p.join(f)
		}
		f.seal()
	}
	f.sink.join(f)
}

// leave ends all processes. It returns the keys that are left, and the queues that were not empty.
func (f *flow) leave() (left []string) {
	f.t.Helper()
	client := f.client()
	defer client.Close()
	if f.s.losses == 0 { // completions that Redis has lost leave their entries
		left = f.entries(client)
	}
	for _, queue := range []string{queueName, queueName + ".first"} {
		if x, err := client.XInfoStream(f.t.Context(), "{dq:0}:x:"+queue).Result(); err == nil {
			f.alone += x.EntriesAdded
		}
	}
	if f.s.both == "" {
		for _, queue := range []string{queueName + ".first.second", queueName + ".first", queueName} {
			if err := f.watcher.Delete(f.t.Context(), queue); err != nil {
				f.t.Error(err)
			}
		}
	}
	f.bury(client)
	for _, p := range f.fleet {
		p.end(f.t)
	}
	for _, p := range f.fleet {
		p.join(f)
	}
	if err := f.watcher.Close(); err != nil {
		f.t.Error(err)
	}
	f.weigh(client)
	return append(left, f.keys(client)...)
}

// peaks holds the peak memory in KiB of a process of the project, and of Redis.
type peaks struct{ process, redis int64 }

// weigh updates peaks; for Redis they count from its last start.
func (f *flow) weigh(client *redis.Client) {
	f.t.Helper()
	for _, p := range f.all {
		if p.gone() {
			f.peaks.process = max(f.peaks.process, p.peak)
		}
	}
	peak := int64(0)
	_, text, _ := strings.Cut(client.Info(f.t.Context(), "memory").Val(), "used_memory_peak:")
	if _, err := fmt.Sscan(text, &peak); err != nil {
		f.t.Error(err)
	}
	f.peaks.redis = max(f.peaks.redis, peak>>10)
}

// check compares the ledgers with the promises.
func (f *flow) check(allowed bounds, left []string) *checker {
	f.t.Helper()
	if f.killed > 0 {
		allowed.left = []string{"{dq:0}:fenced", "{dq:0}:watcher"} // the entries have a watched time
	}
	allowed.again, allowed.use = f.s.losses > 0, mayUse
	c := newChecker()
	c.peaks = f.peaks
	for _, p := range f.all {
		c.hurt[p.role.Ledger] = p.hit || p.fenced(f.t)
	}
	readBooks(f.t, f.dir, c.read)
	for _, breach := range c.check(allowed, left).breaches {
		f.t.Error(breach)
	}
	if f.t.Failed() {
		f.dump()
	}
	return c
}

// seal seals the queue after the last producer.
func (f *flow) seal() {
	f.t.Helper()
	q, err := executor.Open[string](f.t.Context(), f.watcher, queueName)
	if err == nil {
		err = q.Seal(f.t.Context())
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// bury waits until all dead processes are detected and cleaned up, which takes six leases. The
// fenced entry of an executor stays for its grace period.
func (f *flow) bury(client *redis.Client) {
	f.t.Helper()
	ctx := f.t.Context()
	late := time.After(8*f.s.lease + silence)
	for {
		workers, _ := client.ZCard(ctx, "{dq:0}:workers").Result()
		executors, _ := client.ZCard(ctx, "{dq:0}:executors").Result()
		fenced, err := client.HLen(ctx, "{dq:0}:fenced").Result()
		if err == nil && workers == fleetSize && executors == 1 && fenced <= int64(f.killed) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			f.dump()
			f.t.Fatal("the dead are not forgotten")
		}
	}
}

// entries returns the streams that are not empty, whether their entries are held or not.
func (f *flow) entries(client *redis.Client) (left []string) {
	f.t.Helper()
	for _, part := range []string{"q", "r", "x", "l"} {
		for _, stream := range testkit.Keys(f.t, f.server.URL(), "{dq:0}:"+part+":*") {
			n, err := client.XLen(f.t.Context(), stream).Result()
			if err != nil {
				f.t.Error(err)
			}
			if n > 0 {
				left = append(left, fmt.Sprintf("%s with %d entries", stream, n))
			}
		}
	}
	return left
}

// keys returns the keys without a lifetime.
func (f *flow) keys(client *redis.Client) (left []string) {
	f.t.Helper()
	for _, key := range testkit.Keys(f.t, f.server.URL(), "*") {
		switch ttl, err := client.TTL(f.t.Context(), key).Result(); {
		case err != nil:
			f.t.Errorf("the lifetime of %s: %v", key, err)
		case ttl == -1: // no lifetime; a deleted key has -2
			left = append(left, key)
		}
	}
	return left
}

func (f *flow) client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: f.server.Addr(), MaxRetries: -1})
}

// dump logs the content of Redis when the flow hangs or keys are left.
func (f *flow) dump() {
	f.t.Helper()
	client, ctx := f.client(), f.t.Context()
	defer client.Close()
	var text strings.Builder
	for _, key := range testkit.Keys(f.t, f.server.URL(), "*") {
		var shown any
		switch kind, _ := client.Type(ctx, key).Result(); kind {
		case "stream":
			groups, _ := client.XInfoGroups(ctx, key).Result()
			pending, _ := client.XPending(ctx, key, "w").Result()
			entries, _ := client.XRangeN(ctx, key, "-", "+", 3).Result()
			for _, e := range entries {
				delete(e.Values, "p")
			}
			shown = fmt.Sprintf("%d entries, groups %+v, pending %+v, begins %v", client.XLen(ctx, key).Val(), groups, pending, entries)
		case "string":
			shown = fmt.Sprintf("%q, for %v, last used %v ago", client.Get(ctx, key).Val(), client.TTL(ctx, key).Val(), client.ObjectIdleTime(ctx, key).Val())
		case "hash":
			shown = client.HGetAll(ctx, key).Val()
		case "zset":
			shown = client.ZRangeWithScores(ctx, key, 0, -1).Val()
		case "set":
			shown = client.SMembers(ctx, key).Val()
		}
		fmt.Fprintf(&text, "%s: %.1500v\n", key, shown)
	}
	f.t.Logf("Redis:\n%s", &text)
}
