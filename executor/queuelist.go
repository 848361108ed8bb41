package executor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// QueueInfo describes a queue. Each of its items is in one of five places: Waiting, Requeued,
// Suspects, Delayed and Running.
type QueueInfo struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Codec string `json:"codec"`
	// State is "open" while sources may join, "sealed" while none may and one has not ended, and
	// "ended" after that. It is "broken" if Redis refuses to read a key of the queue, see Broken.
	State    string `json:"state"`
	Waiting  int64  `json:"waiting"`  // items that no consumer has read yet
	Requeued int64  `json:"requeued"` // items that came back from a worker and wait to be read again
	Suspects int64  `json:"suspects"` // items that wait, and that two workers have died with
	Delayed  int64  `json:"delayed"`  // items that wait for another attempt
	Running  int64  `json:"running"`  // items that a worker or a gather has read and not finished
	Batches  int64  `json:"batches"`  // batches of the running items
	// AtLeast is true if the queue has so many batches in a place other than Waiting that not all
	// were read: each further one counts as one item.
	AtLeast  bool  `json:"at_least,omitempty"`
	Bytes    int64 `json:"bytes"`    // of the waiting items
	Added    int64 `json:"added"`    // items so far
	Fused    int64 `json:"fused"`    // items that did not go through the queue, see NoFuse
	Max      int64 `json:"max"`      // items that may wait, 0 for no bound
	MaxBytes int64 `json:"maxbytes"` // encoded bytes that may wait, 0 for no bound
	Full     bool  `json:"full"`     // one of the two bounds is reached
	Dropped  int64 `json:"dropped"`  // items that overflow policies have dropped so far
	// Oldest is when the oldest batch that no consumer has read came into this queue, or came back,
	// by the clock of Redis. It is zero if there is none.
	Oldest   time.Time `json:"oldest,omitzero"`
	Sources  int64     `json:"sources"`  // that feed it and are not delivered to their end
	Sealed   bool      `json:"sealed"`   // no further source can join
	Consumer string    `json:"consumer"` // its stage, as "stage:<id>", or its gather, as "gather:<id>"; "" for none
	// Gather is the process of the gather that reads the queue, nil if none does.
	Gather *ProcessInfo `json:"gather,omitempty"`
	From   []string     `json:"from"`  // the queues that its items were scattered into
	Flow   string       `json:"flow"`  // the first of these, or its own name
	Owner  string       `json:"owner"` // id of the Executor that it goes with, "" for a named queue
	// Partition is the number of the partition that has the queue, 0 if there is only one.
	Partition int    `json:"partition"`
	Broken    string `json:"broken,omitempty"` // why the queue cannot be read, "" if it can
}

// Queues lists all queues of the namespace, sorted by name. It costs about four round trips for
// each thousand queues of a partition. ErrClosed: the Executor was closed.
func (ex *Executor) Queues(ctx context.Context) ([]QueueInfo, error) {
	if err := ex.check("queues"); err != nil {
		return nil, err
	}
	return ex.inspector.Queues(ctx)
}

// Queues lists what Executor.Queues does.
func (i inspector) Queues(ctx context.Context) ([]QueueInfo, error) {
	s, err := i.snapshot(ctx, "queues", readQueues)
	return s.Queues, err
}

// queueInfo describes a queue of a partition. The state of a queue behind others is that of the
// queues that its items come from.
func queueInfo(part *broker.Client, q broker.Contents, processes map[string]ProcessInfo) QueueInfo {
	info := QueueInfo{
		Name: q.Queue.Name, Type: q.Queue.Type, Codec: q.Queue.Codec, Waiting: q.Waiting, Requeued: q.Requeued, Suspects: q.Suspects, Delayed: q.Delayed,
		Running: q.Running, Batches: q.Entries, AtLeast: q.AtLeast, Bytes: q.Unread, Added: q.Queue.Items, Fused: q.Queue.Fused,
		Max: q.Queue.Max, MaxBytes: q.Queue.MaxBytes, Full: reached(q.Waiting, q.Queue.Max) || reached(q.Unread, q.Queue.MaxBytes), Dropped: q.Queue.Dropped,
		Oldest: q.Oldest, Sources: q.Sources, Sealed: q.Queue.Seal, Consumer: q.Queue.Consumer, From: append([]string{}, q.Queue.From...),
		Flow: cmp.Or(q.Queue.Flow, q.Queue.Name), Owner: q.Queue.Owner, Partition: part.Index(), Broken: q.Broken, State: stateOf(q),
	}
	if q.Gatherer != "" {
		gather := processOf(processes, q.Gatherer)
		info.Gather = &gather
	}
	return info
}

func reached(n, bound int64) bool { return bound > 0 && n >= bound }

// The states of a queue.
const (
	stateOpen   = "open"
	stateSealed = "sealed"
	stateEnded  = "ended"
	stateBroken = "broken"
)

// stateOf returns the state of a queue that has no queue before it.
func stateOf(q broker.Contents) string {
	switch {
	case q.Broken != "":
		return stateBroken
	case !q.Queue.Seal:
		return stateOpen
	case q.Open > 0:
		return stateSealed
	}
	return stateEnded
}

// inherit gives the queues behind others the least advanced state of the queues that their items
// come from. A root queue that is gone has ended.
func inherit(queues []QueueInfo) {
	order := []string{stateEnded, stateSealed, stateOpen}
	states := make(map[string]string, len(queues))
	for _, q := range queues {
		states[q.Name] = q.State
	}
	for i := range queues {
		if q := &queues[i]; len(q.From) > 0 && q.State != stateBroken {
			least := 0
			for _, path := range q.From {
				root, _ := broker.Root(path)
				least = max(least, slices.Index(order, states[root]))
			}
			q.State = order[least]
		}
	}
}
