package executor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// Where says where an item is, by its source and its offset there: Result.Source and Result.Offset,
// or ItemFrom in a worker. It returns one location, or several if the item was copied by a multiplex. It
// looks from the first queue on, and each 500 batches of a queue before the item cost a round trip, as do
// each 100 dead letters if the item is in no queue. The state is inspect.Gone if there is no such source.
// It returns an error for an offset behind the end of the source. ErrClosed: the Executor was closed.
func (ex *Executor) Where(ctx context.Context, source string, offset int64) ([]inspect.Location, error) {
	if err := ex.check("where"); err != nil {
		return nil, err
	}
	return ex.inspector.Where(ctx, source, offset)
}

// Where says what Executor.Where does.
func (i inspector) Where(ctx context.Context, source string, offset int64) (locations []inspect.Location, err error) {
	if offset < 0 {
		return nil, fmt.Errorf("where: offset %d: it must not be negative", offset)
	}
	ctx, end, err := i.tasks.begin(ctx, "where")
	if err != nil {
		return nil, err
	}
	defer end(&err)
	for _, part := range i.parts {
		s, found, err := part.SourceOf(ctx, source)
		if err != nil {
			return nil, err
		}
		if found {
			return i.locate(ctx, part, s, offset)
		}
	}
	return i.forgotten(ctx, source, offset)
}

// locate looks for an item of a source.
func (i inspector) locate(ctx context.Context, part *broker.Client, s broker.SourceState, offset int64) ([]inspect.Location, error) {
	survey, err := part.Survey(ctx)
	if err != nil {
		return nil, err
	}
	find := search{inspector: i, part: part, survey: survey, offset: offset}
	if s.End >= 0 && offset >= s.End {
		return nil, fmt.Errorf("where: offset %d: source %s has ended with %d items", offset, s.Name, s.End)
	}
	if offset >= s.Stored {
		at := inspect.Location{State: inspect.NotStored, Queue: s.Queue, By: find.process(s.Executor)}
		at.Text = fmt.Sprintf("not stored: its producer has stored %d items", s.Stored)
		return []inspect.Location{at}, nil
	}
	if s.Lost > 0 {
		if dropped, err := find.dropped(ctx, s.Name); err != nil || dropped {
			return []inspect.Location{{State: inspect.Dropped, Queue: s.Queue, Text: "dropped: there was no room for it"}}, err
		}
	}
	return find.below(ctx, s.Queue, s.Name, map[string]bool{})
}

// A search looks for one item.
type search struct {
	inspector
	part   *broker.Client
	survey broker.Survey
	offset int64
}

// process returns a process of the namespace, nil if it is not registered.
func (f search) process(id string) *inspect.Process {
	for _, members := range [][]broker.Member{f.survey.Executors, f.survey.Workers} {
		for _, m := range members {
			if m.ID == id {
				p := processInfo(m.Process, f.life(f.survey.Now, m))
				p.Seen = m.Beat
				return &p
			}
		}
	}
	return nil
}

// dropped reports whether the policy of the source has dropped the item.
func (f search) dropped(ctx context.Context, source string) (bool, error) {
	text, _, err := f.part.Dropped(ctx, source, f.offset)
	if err != nil {
		return false, err
	}
	gaps, err := ranges.ParseSpans(text)
	return gaps.Count(f.offset, f.offset+1) > 0, err
}

// below looks in a queue and then in those behind it. source is the name of the source there.
func (f search) below(ctx context.Context, queue, source string, seen map[string]bool) (locations []inspect.Location, err error) {
	if seen[queue+" "+source] { // stages may form a circle
		return nil, nil
	}
	seen[queue+" "+source] = true
	q, err := f.part.Contents(ctx, []string{queue})
	switch {
	case err != nil:
		return nil, err
	case len(q) == 0:
		return []inspect.Location{{State: inspect.Moving, Queue: queue, Text: "queue " + queue + " was deleted"}}, nil
	}
	gather, gathered := strings.CutPrefix(q[0].Queue.Consumer, "gather:")
	if !gathered {
		gather = ""
	}
	s, found, err := f.part.FindItem(ctx, queue, gather, source, f.offset)
	switch {
	case err != nil:
		return nil, err
	case found:
		return []inspect.Location{f.location(s, q[0])}, nil
	}
	outs := f.behind(queue)
	if outs == nil {
		return f.atEnd(ctx, queue, source)
	}
	for _, out := range outs {
		some, err := f.below(ctx, broker.PlaceOf(source, out.Name), source+out.Branch, seen)
		if err != nil {
			return nil, err
		}
		locations = append(locations, some...)
	}
	return locations, nil
}

// behind returns the out-queues of the stage that reads a queue.
func (f search) behind(queue string) []broker.Out {
	for _, stage := range f.survey.Stages {
		if slices.Contains(stage.Inputs(), queue) {
			return stage.Outs
		}
	}
	return nil
}

// atEnd returns the location of an item that is in no queue down to a gathered one.
func (f search) atEnd(ctx context.Context, queue, source string) ([]inspect.Location, error) {
	text, err := f.part.MarkOf(ctx, queue, source)
	if err != nil {
		return nil, err
	}
	at := inspect.Location{State: inspect.Moving, Queue: queue, Text: "between two queues, or lost: ask again"}
	if text != "" {
		mark, err := ranges.Parse(text)
		if err != nil {
			return nil, err
		}
		if mark.Count(f.offset, f.offset+1) > 0 {
			at.State, at.Text = inspect.Delivered, "its result, a value or an error, was delivered from queue "+queue
		}
		failed, err := f.failed(ctx, f.part, f.survey.Stages, source, f.offset)
		if err != nil {
			return nil, err
		}
		at.Text += failed
	}
	return []inspect.Location{at}, nil
}

// location describes the entry that holds the item.
func (f search) location(s broker.Sighting, q broker.Contents) inspect.Location {
	e := s.Entry
	at := inspect.Location{Queue: e.Queue, Attempts: e.Attempts, Crashes: e.Crashes, Due: s.Due}
	var ms int64
	if _, err := fmt.Sscanf(e.ID, "%d-", &ms); err == nil {
		at.Since = time.UnixMilli(ms)
	}
	switch {
	case s.Holder != "":
		at.State, at.Since, at.By = inspect.Held, f.survey.Now.Add(-s.Held), f.process(s.Holder)
		at.Text = "held by a worker, which runs it or will do so"
		if q.Gatherer != "" {
			at.By, at.Text = f.process(q.Gatherer), "held by the gather of queue "+e.Queue
		}
		if at.By == nil {
			at.Text = "held by a process that is gone: it is requeued within a lease"
		}
	case !s.Due.IsZero():
		at.State, at.Text = inspect.Delayed, "waits for another attempt in queue "+e.Queue
	case e.Kind == broker.Suspect:
		at.State, at.Text = inspect.Suspect, "waits in queue "+e.Queue+" to run alone, since workers have died with it"
	case e.Kind == broker.Returned:
		at.State, at.Text = inspect.Requeued, "came back and waits in queue "+e.Queue
	default:
		at.State, at.Text = inspect.Waiting, "waits in queue "+e.Queue
	}
	return at
}
