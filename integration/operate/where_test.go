package operate

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A walk is the place of each item of the source "walked", as all streams of a flow have it.
type walk struct {
	stored int64
	at     map[int64]string
}

// place returns the place of an item.
func (w walk) place(offset int64) string {
	if offset >= w.stored {
		return inspect.NotStored
	}
	return cmp.Or(w.at[offset], inspect.Delivered) // what is in no stream
}

// sample returns offsets of an item in each place and of random items, stored or not.
func (w walk) sample(items int) []int64 {
	byPlace := map[string]int64{inspect.NotStored: w.stored}
	for offset, place := range w.at {
		byPlace[place] = offset
	}
	some := slices.Collect(maps.Values(byPlace))
	for len(some) < items {
		some = append(some, rand.Int64N(w.stored+1))
	}
	return some
}

// streams are the kinds of streams that a queue has, with the state of an item that no process has.
var streams = []struct{ kind, state string }{
	{"q", inspect.Waiting}, {"r", inspect.Requeued}, {"x", inspect.Suspect}, {"l", inspect.Delayed},
}

// look walks over all streams of some queues, without the code that the commands use.
func look(t *testing.T, raw *redis.Client, queues ...string) walk {
	t.Helper()
	w := walk{at: map[int64]string{}}
	var err error
	if w.stored, err = raw.HGet(t.Context(), "{dq:0}:s:walked", "stored").Int64(); err != nil {
		t.Fatal(err)
	}
	for _, queue := range queues {
		for _, s := range streams {
			key := "{dq:0}:" + s.kind + ":" + queue
			held := map[string]bool{}
			if s.state != inspect.Delayed && raw.Exists(t.Context(), key).Val() == 1 { // which has no reader
				pending, err := raw.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: key, Group: "w", Start: "-", End: "+", Count: 1 << 20}).Result()
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range pending {
					held[p.ID] = true
				}
			}
			entries, err := raw.XRange(t.Context(), key, "-", "+").Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				state := s.state
				if held[e.ID] {
					state = inspect.Held
				}
				w.add(t, e, state+" "+queue)
			}
		}
	}
	return w
}

// add notes the place of the items of an entry.
func (w walk) add(t *testing.T, e redis.XMessage, place string) {
	t.Helper()
	first, err := strconv.ParseInt(fmt.Sprint(e.Values["o"]), 10, 64)
	n, failed := strconv.ParseInt(fmt.Sprint(e.Values["n"]), 10, 64)
	if err != nil || failed != nil || e.Values["s"] != "walked" {
		t.Fatalf("the entry %v", e)
	}
	for offset := first; offset < first+n; offset++ {
		if w.at[offset] != "" {
			t.Errorf("item %d is %s and %s", offset, w.at[offset], place)
		}
		w.at[offset] = place
	}
}

// While workers die, where says of each item what a walk over all streams does. All processes stand
// still for the comparison.
func TestPlantedItemsAreFound(t *testing.T) {
	s := newSite(t)
	rounds, items := 2, 15
	if *long {
		rounds, items = 40, 200
	}
	raw := redis.NewClient(&redis.Options{Addr: s.server.Addr()})
	see, err := executor.NewInspector(t.Context(), s.server.URL(), executor.Logger(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = raw.Close(), see.Close() }()
	in, feed := s.pipe()
	go func() {
		for i := 0; ; i++ {
			if _, err := fmt.Fprintln(feed, i); err != nil {
				return // the test has ended
			}
		}
	}()
	step := []string{"--fn", "step=exec:sleep 0.02; case {} in *7) exit 1;; esac; echo {}"}
	workers := []*process{s.worker(step...), s.worker(step...), s.worker(step...)}
	others := []*process{s.start(in, "dqbridge", "scatter", "--source", "walked", "--max", "300", "in")}
	s.eventuallyShows("walked", "sources")
	s.do("", "map", "--retries", "2", "step", "in", "mid")
	s.do("", "map", "upper", "mid", "out")
	others = append(others, s.start(nil, "dqbridge", "gather", "out"))
	found := map[string]int{}
	for range rounds {
		until := strings.Count(others[1].text(t), "\n") + 20 + rand.IntN(40)
		testkit.Eventually(t, func() bool { return strings.Count(others[1].text(t), "\n") > until }, "results arrive")
		victim := rand.IntN(len(workers))
		workers[victim].kill()
		workers[victim] = s.worker(step...)
		s.signal(syscall.SIGSTOP, slices.Concat(workers, others))
		s.compare(see, raw, items, found)
		s.signal(syscall.SIGCONT, slices.Concat(workers, others))
	}
	t.Logf("items by place: %v", found)
	if len(found) < 4 {
		t.Errorf("the items were only in %v", slices.Sorted(maps.Keys(found)))
	}
}

// signal sends a signal to processes.
func (s site) signal(sig syscall.Signal, all []*process) {
	s.t.Helper()
	for _, p := range all {
		if err := p.Process.Signal(sig); err != nil {
			s.t.Fatal(err)
		}
	}
}

// compare looks for random items in both ways.
func (s site) compare(see executor.Inspector, raw *redis.Client, items int, found map[string]int) {
	s.t.Helper()
	var walked walk
	testkit.Eventually(s.t, func() bool { // Redis has run the commands that were under way
		before := walked
		walked = look(s.t, raw, "in", "mid", "out")
		return walked.stored == before.stored && maps.Equal(walked.at, before.at)
	}, "all writers stand still")
	for _, offset := range walked.sample(items) {
		places, err := see.Where(s.t.Context(), "walked", offset)
		if err != nil || len(places) != 1 {
			s.t.Fatalf("item %d: %+v, %v", offset, places, err)
		}
		got, want := places[0].State, walked.place(offset)
		if got != inspect.NotStored && got != inspect.Delivered {
			got += " " + places[0].Queue
		}
		if got != want {
			s.t.Errorf("item %d is %s, not %s: %+v", offset, want, got, places[0])
		}
		found[want]++
	}
}
