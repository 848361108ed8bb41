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
	for _, n := range []int{1, few, few + 1, 10*few + 7} {
		var o routeScheduler
		o.replace(quietRoutes(n), nil)
		o.all[n/2].sick = true
		seen := map[*route]bool{}
		for range (n + few - 1) / few {
			routes, lately := o.asked()
			if len(routes) > few || lately {
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

func TestWhereWorkCameFromIsAskedAndWhatIsBehindIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o routeScheduler
		o.replace(quietRoutes(10*few), quietRoutes(few+1))
		first, second, other := o.all[3], o.all[70], o.all[200]
		first.behind = []*route{second}
		asked := func(want ...*route) {
			t.Helper()
			routes, lately := o.asked()
			if len(routes) != len(want) || !lately {
				t.Fatalf("%d routes are asked, not %d, lately %v", len(routes), len(want), lately)
			}
			for _, r := range want {
				if !slices.Contains(routes, r) {
					t.Fatalf("%d is not asked", slices.Index(o.all, r))
				}
			}
		}
		o.found(first)
		o.found(first)
		asked(first, second)
		second.full = time.Now()
		asked(first)
		second.full = time.Time{}
		other.jobs.Add(1)
		o.found(other)
		asked(first, second, other)
		<-time.After(recently)
		asked(other)
		o.found(first)
		o.replace(append(slices.Clone(o.all), &route{}), nil)
		asked(first, second, other)
		if got := o.dear(); got != 1 {
			t.Errorf("%d entries of dear routes, not 1", got)
		}
		other.jobs.Add(-1)
		<-time.After(recently)
		if routes, lately := o.asked(); len(routes) != few || lately {
			t.Errorf("%d routes are asked when all are quiet, lately %v", len(routes), lately)
		}
	})
}

func TestAFewNewRoutesAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var o routeScheduler
		old, fresh := quietRoutes(10*few), quietRoutes(2)
		o.replace(old, old)
		if _, lately := o.asked(); lately {
			t.Error("a worker that begins asks all there is at once")
		}
		o.replace(slices.Concat(old, fresh), fresh)
		if routes, _ := o.asked(); len(routes) != 2 || !slices.Contains(routes, fresh[0]) || !slices.Contains(routes, fresh[1]) {
			t.Errorf("%d routes are asked, not the two that are new", len(routes))
		}
	})
}

// To choose costs the same beside many that idle.
func BenchmarkAsked(b *testing.B) {
	for _, n := range []int{few + 1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var o routeScheduler
			o.replace(quietRoutes(n), nil)
			b.ReportAllocs()
			for b.Loop() {
				o.found(o.all[0])
				o.asked()
				o.others(few)
			}
		})
	}
}
