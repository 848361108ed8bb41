package executor

import (
	"cmp"
	"slices"
	"sync"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// An activity is the scatters and gathers of a partition that have not ended. The heartbeat shows on
// the card of the executor what they wait for.
type activity struct {
	mu      sync.Mutex
	feeds   map[*producer.Sender]struct{}
	gathers map[*consumer.Receiver]struct{}

	timed int // first gather whose times the next heartbeat shows; only the heartbeat uses it
}

func (a *activity) addFeed(s *producer.Sender) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.feeds == nil {
		a.feeds = map[*producer.Sender]struct{}{}
	}
	a.feeds[s] = struct{}{}
}

func (a *activity) removeFeed(s *producer.Sender) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.feeds, s)
}

func (a *activity) addGather(r *consumer.Receiver) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gathers == nil {
		a.gathers = map[*consumer.Receiver]struct{}{}
	}
	a.gathers[r] = struct{}{}
}

func (a *activity) removeGather(r *consumer.Receiver) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.gathers, r)
}

// fields returns the fields of the card that have changed.
func (a *activity) fields(shown broker.CardFields) (card []any) {
	feeds, gathers := a.reports()
	card = shown.Add(card, "feeds", broker.CardList(feeds))
	list, next := broker.GatherList(gathers, a.timed)
	a.timed = next
	return shown.Add(card, "gathers", list)
}

// reports returns the reports of all scatters and gathers: those that wait longest first, the others
// by their queues.
func (a *activity) reports() (feeds []broker.FeedReport, gathers []broker.GatherReport) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s := range a.feeds {
		feeds = append(feeds, s.Report())
	}
	for r := range a.gathers {
		gathers = append(gathers, r.Report())
	}
	slices.SortFunc(feeds, func(a, b broker.FeedReport) int {
		return cmp.Or(cmp.Compare(b.For, a.For), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Source, b.Source))
	})
	slices.SortFunc(gathers, func(a, b broker.GatherReport) int {
		return cmp.Or(cmp.Compare(waitOf(b), waitOf(a)), cmp.Compare(a.Queue, b.Queue))
	})
	return feeds, gathers
}

// waitOf returns for how many ms a gather has waited, for its program or for an item.
func waitOf(g broker.GatherReport) int64 {
	if g.Wants == nil {
		return g.For
	}
	return max(g.For, g.Wants.For)
}
