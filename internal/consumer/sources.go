package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

const (
	// refreshInterval is the first time between two reads of the sources without a hint, since a
	// hint may be lost. It doubles up to maxRefreshInterval while the queue is idle.
	refreshInterval    = time.Second
	maxRefreshInterval = 8 * time.Second
	// refreshedUnchanged is how many sources without a noted change each refresh reads, in
	// round-robin order: Redis notes no change of a source for items that it stores.
	refreshedUnchanged = 64
)

// A refresh says which sources are read again. A greater value includes the smaller ones.
//
//	refresh         requested by                                    reads
//	refreshNone     -                                               as refreshChanged, after the interval
//	refreshChanged  a hint, a failed read                           changed sources and a few others
//	refreshAll      begin of the gather, a reply that may be lost   all sources
type refresh int

const (
	refreshNone refresh = iota
	refreshChanged
	refreshAll
)

// A streamState says how the stream goes on:
//
//	state           condition                                              the read loop
//	streamOpen      otherwise                                              waits for entries
//	streamEnded     no source can join; all are handed out to their ends   ends
//	streamReplaced  the stage before the queue is replaced: no item comes  hands out the rest, ends
type streamState int

const (
	streamOpen streamState = iota
	streamEnded
	streamReplaced
)

// A root is a queue that scatters write to, and the path of its items to the gathered queue.
type root struct {
	broker.Path
	sealed bool
	last   string // number of the last change of its sources that was read
}

// A source is a source as the gather has read it last.
type source struct {
	name      string // in the gathered queue
	root      *root
	stored    int64  // offset up to which its items are stored
	end       int64  // -1 until it has ended
	abandoned string // why it was abandoned before its end, otherwise ""
	notice    string // text of the last notice about it
	dropped   int64  // offset up to which its dropped ranges are known
	handedOut bool   // up to its end
	missing   want
	index     int // in sources.list
	pass      int // number of the last refresh of all sources that found it
}

// sources are the sources that the gather has not delivered to their ends.
type sources struct {
	client *broker.Client
	gather broker.Gather

	roots      []*root
	byName     map[string]*source
	list       []*source
	next       int // index of the source that is refreshed next without a change
	unfinished int // number of sources that are not handed out to their ends
	replacedBy string

	requested refresh
	pass      int // number of refreshes of all sources
	refreshed time.Time
	interval  time.Duration // until the next refresh without a request
}

func newSources(c *broker.Client, g broker.Gather) *sources {
	ss := &sources{client: c, gather: g, byName: map[string]*source{}, requested: refreshAll, interval: refreshInterval}
	for _, p := range g.Roots() {
		ss.roots = append(ss.roots, &root{Path: p, last: "0"})
	}
	return ss
}

// state returns the state of the stream. The stream has not ended while a refresh of all sources is
// requested.
func (ss *sources) state() streamState {
	unsealed := slices.ContainsFunc(ss.roots, func(r *root) bool { return !r.sealed })
	switch {
	case !unsealed && ss.requested != refreshAll && ss.unfinished == 0:
		return streamEnded
	case ss.replacedBy != "":
		return streamReplaced
	}
	return streamOpen
}

// request asks for a refresh.
func (ss *sources) request(r refresh) { ss.requested = max(ss.requested, r) }

// resetInterval sets the interval of refreshes back, since the queue is not idle.
func (ss *sources) resetInterval() { ss.interval = refreshInterval }

// due reports whether the sources have to be refreshed.
func (ss *sources) due() bool {
	return ss.requested != refreshNone || time.Since(ss.refreshed) > ss.interval
}

// beginRefresh begins a refresh.
func (ss *sources) beginRefresh() {
	if ss.requested != refreshAll {
		return
	}
	ss.pass++
	for _, r := range ss.roots {
		r.last = "0"
	}
}

// endRefresh ends a refresh. It returns the names of the sources that Redis does not have any more.
func (ss *sources) endRefresh() (absent []string) {
	if ss.requested == refreshAll {
		for _, s := range ss.list {
			if s.pass != ss.pass {
				absent = append(absent, s.name)
			}
		}
	}
	ss.requested, ss.refreshed, ss.interval = refreshNone, time.Now(), min(2*ss.interval, ss.client.Patience(maxRefreshInterval))
	return absent
}

// unchanged returns the names, at a root, of the sources that are refreshed next without a change.
func (ss *sources) unchanged(of *root) (names []string) {
	for range min(refreshedUnchanged, len(ss.list)) {
		ss.next = (ss.next + 1) % len(ss.list)
		if s := ss.list[ss.next]; s.root == of && !s.handedOut {
			name, _ := broker.Root(s.name)
			names = append(names, name)
		}
	}
	return names
}

// read reads the next page of the sources of a root that have changed, and the sources with the
// names.
func (ss *sources) read(ctx context.Context, of *root, names []string) (broker.Watched, error) {
	page, err := ss.client.Watch(ctx, ss.gather, of.Path, of.last, names...)
	if err == nil {
		of.sealed, of.last, ss.replacedBy = page.Sealed, page.Last, page.Replaced
	}
	return page, err
}

// update returns the source that was read, with its new state. The source is added if it is not
// known.
func (ss *sources) update(of *root, p broker.Progress) *source {
	name := p.Name + of.Branch
	s := ss.byName[name]
	if s == nil {
		s = &source{name: name, root: of, index: len(ss.list)}
		ss.byName[name], ss.list = s, append(ss.list, s)
		ss.unfinished++
	}
	s.pass = ss.pass
	s.stored, s.end, s.abandoned = p.Stored, p.End, p.Cut
	return s
}

// readDropped reads ranges that a source has dropped and that are not known yet. more reports
// whether there are further ones.
func (ss *sources) readDropped(ctx context.Context, s *source) (dropped ranges.Set, more bool, err error) {
	name, _ := broker.Root(s.name)
	text, more, err := ss.client.Dropped(ctx, name, s.dropped)
	if err != nil {
		return nil, false, err
	}
	if dropped, err = ranges.ParseSpans(text); err != nil {
		return nil, false, fmt.Errorf("gather queue %s: dropped ranges of source %s: %w", ss.gather.Queue.Name, s.name, err)
	}
	if n := len(dropped); n > 0 {
		s.dropped = dropped[n-1].From
	}
	return dropped, more, nil
}

// setHandedOut records whether a source was handed out to its end. A source that was may lose its
// end by a failover.
func (ss *sources) setHandedOut(s *source, handedOut bool) {
	switch {
	case handedOut && !s.handedOut:
		ss.unfinished--
	case !handedOut && s.handedOut:
		ss.unfinished++
	}
	s.handedOut = handedOut
}

// forget removes a source, if it is known.
func (ss *sources) forget(name string) {
	s := ss.byName[name]
	if s == nil {
		return
	}
	last := ss.list[len(ss.list)-1]
	ss.list[s.index], last.index = last, s.index
	ss.list = ss.list[:len(ss.list)-1]
	delete(ss.byName, name)
	if !s.handedOut {
		ss.unfinished--
	}
}

// truncated returns an error for each source that was abandoned before its end, except those that a
// notice has reported.
func (ss *sources) truncated() (err error) {
	abandoned := slices.DeleteFunc(slices.Clone(ss.list), func(s *source) bool { return s.abandoned == "" || s.notice == s.truncated().Error() })
	slices.SortFunc(abandoned, func(a, b *source) int { return cmp.Compare(a.name, b.name) })
	for _, s := range abandoned {
		err = errors.Join(err, s.truncated())
	}
	return err
}

// truncated returns the error of a source that was abandoned before its end.
func (s *source) truncated() error {
	return fmt.Errorf("queue %s: %w, after %d items of source %s: %s", s.root.Queue, broker.ErrTruncated, s.end, s.name, s.abandoned)
}

// offline returns the text of the notice about a source without a producer.
func (s *source) offline(reason string) string {
	return fmt.Sprintf("queue %s: source %s is away after %d items: %s; the next scatter with its name continues it",
		s.root.Queue, s.name, s.stored, reason)
}

// note records the text of a notice. It returns false if it was the text of the last notice too.
func (s *source) note(text string) bool {
	if s.notice == text {
		return false
	}
	s.notice = text
	return true
}
