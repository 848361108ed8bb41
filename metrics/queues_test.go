package metrics

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/inspect"
)

// The counters of a queue's ends do not decrease when sources and gathers come and go, and count no
// item twice when the report of a gather is missing for a while.
func TestEndsOfQueuesAreCountedOnce(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		source := func(name string, stored int64) inspect.Source {
			return inspect.Source{Name: name, Queue: "q", Stored: stored}
		}
		gather := func(id, state string, delivered int64) []inspect.Gather {
			return []inspect.Gather{{Queue: "q", By: inspect.Process{ID: id}, State: state, Delivered: delivered}}
		}
		check := func(what string, stored, delivered float64) {
			t.Helper()
			got := s.scrape()
			if a, b := got["source_stored_items_total{flow=q,queue=q}"], got["gather_delivered_items_total{flow=q,queue=q}"]; a != stored || b != delivered {
				t.Errorf("%s: %v items are stored and %v delivered, want %v and %v", what, a, b, stored, delivered)
			}
		}
		n := &s.n.state
		n.Queues = []inspect.Queue{{Name: "q"}}
		n.Sources, n.Gathers = []inspect.Source{source("a", 5), source("b", 7)}, gather("x", inspect.Open, 3)
		check("at first", 12, 3)
		n.Sources, n.Gathers = []inspect.Source{source("b", 9)}, gather("x", inspect.Unknown, 0)
		check("a source has ended, and the gather is not reported", 14, 3)
		n.Sources, n.Gathers = nil, gather("x", inspect.Reader, 8)
		check("no source is left, and the gather is reported again", 14, 8)
		n.Sources, n.Gathers = []inspect.Source{source("a", 2)}, gather("y", inspect.Open, 1)
		check("a new source has an old name, and the queue has a new gather", 16, 9)
		n.Queues = nil
		if got := s.scrape(); slices.ContainsFunc(slices.Collect(maps.Keys(got)), func(name string) bool { return strings.Contains(name, "queue=q") }) {
			t.Errorf("the deleted queue has %v", got)
		}
	})
}

// Queues without ends have no series of sources and gathers.
func TestQueuesWithoutEndsHaveNoSeriesOfThem(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		s.n.state.Queues = []inspect.Queue{{Name: "q"}}
		s.n.state.Gathers = []inspect.Gather{{Queue: "q", State: inspect.Unknown}, {Queue: "gone", State: inspect.Open, Delivered: 5}}
		s.n.state.Sources = []inspect.Source{{Name: "s", Queue: "gone", Stored: 5}}
		for name := range s.scrape() {
			if strings.HasPrefix(name, "source_") || strings.HasPrefix(name, "gather_") {
				t.Errorf("there is a series %s", name)
			}
		}
	})
}

// The state of a stage that no worker runs names the reason.
func TestStagesSayWhyNoWorkerRunsThem(t *testing.T) {
	for want, change := range map[string]func(*inspect.Stage){
		"stage_stuck{function=f,reason=no_worker,stage=s}":     func(s *inspect.Stage) { s.Workers = 0 },
		"stage_stuck{function=f,reason=other_types,stage=s}":   func(s *inspect.Stage) { s.Workers, s.Others = 0, 1 },
		"stage_stuck{function=f,reason=no_tags,stage=s}":       func(s *inspect.Stage) { s.Workers, s.Untagged, s.Tags = 0, 1, []string{"gpu"} },
		"stage_paused{function=f,reason=operator,stage=s}":     func(s *inspect.Stage) { s.Paused, s.Pause = true, &inspect.Pause{} },
		"stage_paused{function=f,reason=dead_process,stage=s}": func(s *inspect.Stage) { s.Paused = true },
		"": func(*inspect.Stage) {},
	} {
		inVirtualTime(t, func(s scraper) {
			one := stage("s", 0)
			change(&one)
			s.n.state.Stages, s.n.state.Queues = []inspect.Stage{one}, []inspect.Queue{{Name: "in.s", Waiting: 1}}
			var found []string
			for name, value := range s.scrape() {
				if value == 1 && (strings.HasPrefix(name, "stage_stuck{") || strings.HasPrefix(name, "stage_paused{")) {
					found = append(found, name)
				}
			}
			if got := strings.Join(found, " "); got != want {
				t.Errorf("the states are %q, want %q", got, want)
			}
		})
	}
}

// The longest time of a flow stands for all of its label, and flows without series of their own have
// the label of the rest.
func TestFlowsWithoutSeriesShareTheirTime(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		for name, waiting := range map[string]int64{"a": 30, "b": 20, "c": 10} {
			one := stage(name, 0)
			one.Rate = 2
			s.n.state.Stages = append(s.n.state.Stages, one)
			s.n.state.Queues = append(s.n.state.Queues, inspect.Queue{Name: "in." + name, State: inspect.Ended, Waiting: waiting}, inspect.Queue{Name: name, State: inspect.Ended})
		}
		got := s.scrape()
		if a, rest := got["flow_eta_seconds{flow=in.a}"], got["flow_eta_seconds{flow=_other}"]; a != 15 || rest != 10 {
			t.Errorf("the times are %v and %v of all in %v", a, rest, got)
		}
	}, MaxSeries(1))
}
