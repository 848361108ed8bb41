package worker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func quietRoutes(n int) []*route {
	routes := make([]*route, n)
	for i := range routes {
		routes[i] = &route{}
	}
	return routes
}

func TestOfManyRoutesEachHasItsTurn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, polledRoutes, polledRoutes + 1, 10*polledRoutes + 7} {
		var o routeScheduler
		o.replace(quietRoutes(n), nil)
		o.all[n/2].sick = true
		seen := map[*route]bool{}
		for range (n + polledRoutes - 1) / polledRoutes {
			routes, lately := o.toPoll()
			if len(routes) > polledRoutes || lately {
				t.Fatalf("%d routes: %d are asked, lately %v", n, len(routes), lately)
			}
			for _, r := range routes {
				seen[r] = true
			}
		}
		if len(seen) != n-1 || seen[o.all[n/2]] {
			t.Errorf("%d routes: %d were asked in one round of turns", n, len(seen))
		}
	}
}

// A slot that becomes free takes from each route in turn, however often the routes were listed while
// no slot was free.
func TestRoutesWithWorkTakeTurns(t *testing.T) {
	t.Parallel()
	for listed := range 4 {
		var o routeScheduler
		o.replace(quietRoutes(3), nil)
		turns := map[*route]int{}
		for range 30 {
			for range listed {
				o.toPoll()
			}
			routes, _ := o.toPoll()
			turns[routes[0]]++
			o.noteWork(routes[0])
		}
		for i, r := range o.all {
			if turns[r] != 10 {
				t.Errorf("with %d more calls, route %d had %d of 30 turns", listed, i, turns[r])
			}
		}
	}
}

// A slot that becomes free takes from the last stage of a flow that has entries, and flows take turns.
func TestLastStagesComeFirst(t *testing.T) {
	t.Parallel()
	for _, others := range []int{0, 10 * polledRoutes} {
		var o routeScheduler
		a, b := quietRoutes(3), quietRoutes(2)
		a[0].readers, a[1].readers, b[0].readers = []*route{a[1]}, []*route{a[2]}, []*route{b[1]}
		o.replace(slices.Concat(a, quietRoutes(others), b), slices.Concat(a, b))
		first := map[*route]int{}
		for range 50 {
			routes, _ := o.toPoll()
			at := func(r *route) int { return slices.Index(routes, r) }
			if len(routes) != 5 || at(a[2]) > at(a[1]) || at(a[1]) > at(a[0]) || at(b[1]) > at(b[0]) {
				t.Fatalf("with %d other routes, the order is %d", others, []int{at(a[0]), at(a[1]), at(a[2]), at(b[0]), at(b[1])})
			}
			first[routes[0]]++
			o.noteWork(routes[0])
		}
		if first[a[2]] < 10 || first[b[1]] < 10 || first[a[2]]+first[b[1]] != 50 {
			t.Errorf("with %d other routes, the first ones are %v", others, first)
		}
	}
}

func TestWhereWorkCameFromIsAskedAndWhatIsBehindIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o routeScheduler
		o.replace(quietRoutes(10*polledRoutes), quietRoutes(polledRoutes+1))
		first, second, other := o.all[3], o.all[70], o.all[200]
		first.readers = []*route{second}
		asked := func(want ...*route) {
			t.Helper()
			routes, lately := o.toPoll()
			if len(routes) != len(want) || !lately {
				t.Fatalf("%d routes are asked, not %d, lately %v", len(routes), len(want), lately)
			}
			for _, r := range want {
				if !slices.Contains(routes, r) {
					t.Fatalf("%d is not asked", slices.Index(o.all, r))
				}
			}
		}
		o.noteWork(first)
		o.noteWork(first)
		asked(first, second)
		second.full = time.Now()
		asked(first)
		second.full = time.Time{}
		other.jobs.Add(1)
		o.noteWork(other)
		asked(first, second, other)
		<-time.After(activeFor)
		asked(other)
		o.noteWork(first)
		o.replace(append(slices.Clone(o.all), &route{}), nil)
		asked(first, second, other)
		if got := o.expensive(); got != 1 {
			t.Errorf("%d entries of dear routes, not 1", got)
		}
		other.jobs.Add(-1)
		<-time.After(activeFor)
		if routes, lately := o.toPoll(); len(routes) != polledRoutes || lately {
			t.Errorf("%d routes are asked when all are quiet, lately %v", len(routes), lately)
		}
	})
}

func TestAFewNewRoutesAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o routeScheduler
		old, fresh := quietRoutes(10*polledRoutes), quietRoutes(2)
		o.replace(old, old)
		if _, lately := o.toPoll(); lately {
			t.Error("a worker that begins asks all there is at once")
		}
		o.replace(slices.Concat(old, fresh), fresh)
		if routes, _ := o.toPoll(); len(routes) != 2 || !slices.Contains(routes, fresh[0]) || !slices.Contains(routes, fresh[1]) {
			t.Errorf("%d routes are asked, not the two that are new", len(routes))
		}
	})
}

// A choice costs the same beside many idle routes.
func BenchmarkAsked(b *testing.B) {
	for _, n := range []int{polledRoutes + 1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var o routeScheduler
			o.replace(quietRoutes(n), nil)
			b.ReportAllocs()
			for b.Loop() {
				o.noteWork(o.all[0])
				o.toPoll()
				o.sample(polledRoutes)
			}
		})
	}
}
