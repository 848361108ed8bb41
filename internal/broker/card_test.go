package broker_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A list of a card is JSON of at most 4 KiB: the first of its items.
func TestListsOfCardsAreBounded(t *testing.T) {
	t.Parallel()
	var gathers []broker.GatherReport
	for i := range int64(1000) {
		gathers = append(gathers, broker.GatherReport{Queue: fmt.Sprint("queue-", i), Wants: &broker.WantedItem{Source: "s", Offset: i, For: i + 1}, For: 2 * i})
	}
	text := broker.CardList(gathers)
	p := broker.Process{Card: map[string]string{"seen": "1000000", "gathers": text, "feeds": broker.CardList([]broker.FeedReport{
		{Queue: "q", Source: "s", State: broker.FeedFull, For: 5000, Waited: 90, Caller: 10}, {Queue: "q", Source: "t", State: broker.FeedRunning},
	})}}
	found := p.Gathers()
	if len(text) > 4<<10 || len(text) < 3<<10 || len(found) < 20 {
		t.Fatalf("%d bytes, %d gathers", len(text), len(found))
	}
	for i, g := range found {
		if g.Queue != gathers[i].Queue || g.Wants.Offset != int64(i) || !g.Wants.Since.Equal(time.UnixMilli(1000000-int64(i)-1)) || g.Since.IsZero() != (i == 0) {
			t.Errorf("gather %d is %+v, %+v", i, g, g.Wants)
		}
	}
	if f := p.Feeds(); len(f) != 2 || !f[0].Since.Equal(time.UnixMilli(995000)) || f[0].Waited != 90 || !f[1].Since.IsZero() {
		t.Errorf("the feeds are %+v", f)
	}
	if text := broker.CardList([]broker.FeedReport(nil)); text != "[]" {
		t.Errorf("no feed is %s", text)
	}
	p.Card["feeds"], p.Card["gathers"] = `[{"queue":1}]`, "no JSON"
	if p.Feeds() != nil || p.Gathers() != nil {
		t.Error("a malformed list is read")
	}
	if !json.Valid([]byte(text)) {
		t.Error("the list is no JSON")
	}
}

// A list of gathers has as many of them as one without times. The times of those that do not fit come
// with the next lists, in turns.
func TestTimesOfGathersTakeTurns(t *testing.T) {
	t.Parallel()
	var gathers []broker.GatherReport
	for i := range int64(25) {
		var times broker.Histogram
		if i == 5 { // its times never have room
			for at := time.Nanosecond; at < 1000*time.Hour; at += at/8 + 1 {
				times.AddEach(at, 1_000_000)
			}
		}
		for ms := int64(1); ms < 1<<20; ms *= 2 {
			times.AddEach(time.Duration(ms)*time.Millisecond, int(i+1))
		}
		gathers = append(gathers, broker.GatherReport{Queue: fmt.Sprint("queue-", i), Delivered: 20 * (i + 1), Times: times.Report()})
	}
	gathers[3].Times = nil
	seen, first := map[string]int64{}, 0
	for range 50 {
		var list string
		list, first = broker.GatherList(gathers, first)
		found := broker.Process{Card: map[string]string{"gathers": list}}.Gathers()
		if len(list) > 4<<10 || len(found) != 25 {
			t.Fatalf("%d bytes, %d gathers", len(list), len(found))
		}
		for _, g := range found {
			if times := g.Times.Histogram(); g.Times != nil {
				seen[g.Queue] = times.Count()
			}
		}
	}
	for i, g := range gathers {
		if n := seen[g.Queue]; i != 3 && i != 5 && n != g.Delivered || (i == 3 || i == 5) && n != 0 {
			t.Errorf("%s: %d times of %d items", g.Queue, n, g.Delivered)
		}
	}
	list, next := broker.GatherList(gathers[:4], 7)
	found := broker.Process{Card: map[string]string{"gathers": list}}.Gathers()
	if next != 0 || found[2].Times == nil || gathers[2].Times == nil {
		t.Errorf("of four gathers, all have room: %d is next, %s", next, list)
	}
	if list, next := broker.GatherList(nil, 1); list != "[]" || next != 0 {
		t.Errorf("no gather is %s, %d", list, next)
	}
}

func TestCardsSendChangedFieldsOnly(t *testing.T) {
	t.Parallel()
	sent := broker.CardFields{}
	for i, want := range [][]any{{"a", "", "b", "1"}, nil, {"b", "2"}} {
		value := []string{"1", "1", "2"}[i]
		if card := sent.Add(sent.Add(nil, "a", ""), "b", value); !slices.Equal(card, want) {
			t.Errorf("heartbeat %d has %q, not %q", i, card, want)
		}
	}
}
