package worker

import (
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A stageView records which stages the fetcher has to read again before it fetches:
//
//	all    changed  read next
//	false  empty    none
//	false  ids      the stages with these ids
//	true   any      all
type stageView struct {
	all     bool
	changed []string
}

func (v *stageView) outdated() bool { return v.all || len(v.changed) > 0 }

// ids returns the stages to read, nil for all.
func (v *stageView) ids() []string {
	if v.all {
		return nil
	}
	return v.changed
}

// A heldCheck decides when the fetcher asks Redis which entries this worker holds:
//
//	state    event                              next
//	known    a reply was lost, a request failed  unknown
//	unknown  Redis was asked                     late, since the failed request itself may still arrive
//	late     a reply was lost, a request failed  unknown
//	late     a lease later, Redis was asked      known
type heldCheck struct {
	lost     bool
	again    time.Time // state late: when to ask again; zero in the other states
	failures int64     // of the client, when Redis was asked last
}

// due reports whether to ask now. failures is the current number of failed requests of the client.
func (c *heldCheck) due(now time.Time, failures int64) bool {
	return c.lost || failures != c.failures || c.late(now)
}

func (c *heldCheck) late(now time.Time) bool { return !c.again.IsZero() && now.After(c.again) }

// asked records that Redis was asked. failures is the number from before the request.
func (c *heldCheck) asked(now time.Time, failures int64, lease time.Duration) {
	var again time.Time
	if c.lost || failures != c.failures {
		again = now.Add(lease)
	}
	c.lost, c.failures, c.again = false, failures, again
}

// certain reports whether the fetcher knows all entries that this worker holds.
func (c *heldCheck) certain(failures int64) bool {
	return !c.lost && c.again.IsZero() && failures == c.failures
}

// maxEmptyPolls is the number of reads of single entries in a row after which the fetcher polls again,
// which finds out whether a full out-queue has room.
const maxEmptyPolls = 16

// A pollPolicy decides whether the fetcher polls, which does not wait, before the next read that waits.
// A poll is needless if the last read found all entries that were there.
type pollPolicy struct {
	skip   bool
	single int       // reads that brought a single entry
	at     time.Time // of the last poll
}

// needed makes the fetcher poll before the next read.
func (p *pollPolicy) needed() { p.skip = false }

// hinted records a read that brought nothing but news of stages. A read that waits finds their entries, so
// a poll is due only if the last one is long ago.
func (p *pollPolicy) hinted(now time.Time) { p.skip = now.Sub(p.at) < readWait }

// read records the entries of a read that waited and asked for up to count of them. Every second poll is
// left out while reads bring no entries: it serves only for entries that reads do not find.
func (p *pollPolicy) read(entries []broker.Entry, count int) {
	polled := !p.skip
	p.skip = false
	switch len(entries) {
	case 0:
		p.skip = polled
	case 1:
		p.single++
		p.skip = count == 2 && p.single%maxEmptyPolls != 0 && entries[0].Payload == ""
	}
}
