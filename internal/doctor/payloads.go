package doctor

import (
	"context"
	"errors"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// Payloads are payload keys that stay for ever, since they have no lifetime and no entry names them.
type Payloads struct {
	Sampled int      // keys that were looked at
	Orphans []string // the keys among them
	// Entries is the number of entries of a partition that has too many to look for the names, 0 if none has.
	Entries int64
	Err     error // why this is not known, nil if it is
}

// Limits of ReadPayloads.
const (
	payloadSample = 300         // keys
	payloadPause  = time.Second // between two comparisons
)

// ReadPayloads looks at a few hundred payload keys, others each time. It takes a second more if there seem to be
// orphans.
func ReadPayloads(ctx context.Context, redisURL string) *Payloads {
	c, err := connect(ctx, redisURL)
	if err != nil {
		return &Payloads{Err: err}
	}
	p := payloadsOf(ctx, c, payloadPause)
	p.Err = errors.Join(p.Err, c.Close())
	return p
}

// payloadsOf looks at payload keys of all partitions.
func payloadsOf(ctx context.Context, c *broker.Client, pause time.Duration) *Payloads {
	p, parts := &Payloads{}, c.Partitions()
	for _, part := range parts {
		o, err := part.Orphans(ctx, max(1, payloadSample/len(parts)), pause)
		if err != nil {
			p.Err = err
			break
		}
		p.Sampled, p.Orphans, p.Entries = p.Sampled+o.Sampled, append(p.Orphans, o.Keys...), max(p.Entries, o.Entries)
	}
	return p
}

// payloads reports payload keys that stay for ever.
func payloads(f Facts, report reporter) {
	p := f.Payloads
	switch {
	case p == nil:
		report(Skipped, "", "dqbridge doctor", "the payload keys were not examined")
	case errors.Is(p.Err, executor.ErrDenied):
		report(Skipped, "", "ACL SETUSER USER +scan +pttl", "the Redis user may not call SCAN or PTTL")
	case p.Err != nil:
		report(Skipped, "", "", "%v", p.Err)
	case len(p.Orphans) > 0:
		report(Warn, "", "redis-cli EXPIRE '"+p.Orphans[0]+"' 600, and the same for the others: Redis then deletes them",
			"%d of %d payload keys have no lifetime, and no entry needs them: %s", len(p.Orphans), p.Sampled, some(p.Orphans))
	case p.Entries > 0:
		report(Skipped, "", "", "the queues have %d entries: they are too many to look for the names of payload keys", p.Entries)
	}
}
