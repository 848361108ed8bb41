package operate

import (
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// An estimate is the remaining time of a flow, as an operator sees it at some time.
type estimate struct{ at, rest time.Duration }

// estimates runs 3,000 items through two functions on four slots. It returns the estimates from half a
// minute after the begin on, and when the last result came.
func estimates(t *testing.T, first, second workers.Func[int, int], opts ...executor.MapOption) (seen []estimate, took time.Duration) {
	t.Helper()
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		t.Helper()
		for range 2 {
			f.StartWorker(workers.Functions(first, second), workers.Concurrency(2))
		}
		ex, _ := f.StartExecutor()
		items := make([]int, 3000)
		in, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(items), bridge.Name("orders"), bridge.Seal())
		if err != nil {
			t.Fatal(err)
		}
		mid, err := executor.Map(t.Context(), first, in, opts...)
		if err != nil {
			t.Fatal(err)
		}
		out, err := executor.Map(t.Context(), second, mid)
		if err != nil {
			t.Fatal(err)
		}
		results, err := bridge.Gather(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		began, ended := time.Now(), make(chan struct{})
		go func() {
			defer close(ended)
			for range results {
				took = time.Since(began)
			}
		}()
		for tick := time.After(30 * time.Second); ; tick = time.After(10 * time.Second) {
			select {
			case <-ended:
				for _, q := range []string{in.Name(), mid.Name(), out.Name()} {
					if err := ex.Delete(t.Context(), q); err != nil {
						t.Error(err)
					}
				}
				return
			case <-tick:
			}
			state, err := ex.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, flow := range state.Flows() {
				seen = append(seen, estimate{time.Since(began), flow.ETA})
			}
		}
	})
	return seen, took
}

// From half a minute on, the time until the end is known within a fifth, and it stays so.
func TestPlantedEndIsForeseen(t *testing.T) {
	fast, slow := takes("fast", 10*time.Millisecond), takes("slow", 500*time.Millisecond)
	for name, c := range map[string]struct {
		first, second workers.Func[int, int]
		opts          []executor.MapOption
	}{
		"slow fused second stage": {fast, slow, nil},
		"slow fused first stage":  {slow, fast, nil},
		"slow second stage":       {fast, slow, []executor.MapOption{executor.NoFuse()}},
		"slow first stage":        {slow, fast, []executor.MapOption{executor.NoFuse()}},
	} {
		t.Run(name, func(t *testing.T) {
			seen, took := estimates(t, c.first, c.second, c.opts...)
			looks := 0
			for _, e := range seen {
				if rest := took - e.at; rest > 20*time.Second { // later, the calls in the slots count
					looks++
					if error := (e.rest - rest).Abs(); error > rest/5 {
						t.Errorf("after %v the flow ends in %v, it says %v", e.at, rest, e.rest)
					}
				}
			}
			if looks < 30 {
				t.Errorf("%d looks in %v", looks, took)
			}
		})
	}
}
