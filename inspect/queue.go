package inspect

import "time"

// Queue describes a queue. Each of its items is in one of five places: Waiting, Requeued,
// Suspects, Delayed and Running.
type Queue struct {
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
	AtLeast bool  `json:"at_least,omitempty"`
	Bytes   int64 `json:"bytes"` // of the waiting items
	Added   int64 `json:"added"` // items so far
	Fused   int64 `json:"fused"` // items that did not go through the queue, see NoFuse
	// Inputs are the inputs that the queue accounts for so far: those of the added and fused items, and
	// those without an item, since a filter has left them out.
	Inputs   int64 `json:"inputs"`
	Max      int64 `json:"max"`      // items that may wait, 0 for no bound
	MaxBytes int64 `json:"maxbytes"` // encoded bytes that may wait, 0 for no bound
	Full     bool  `json:"full"`     // one of the two bounds is reached
	Dropped  int64 `json:"dropped"`  // items that overflow policies have dropped so far
	// Oldest is when the oldest batch that no consumer has read came into this queue, or came back,
	// by the clock of Redis. It is zero if there is none.
	Oldest time.Time `json:"oldest,omitzero"`
	// OldestScattered is when the batch that is to be read next was scattered into the first queue of
	// the flow, by the clock of Redis: its age over all queues and attempts. Of the batches that are to
	// be read next from each place it is the earliest. It is zero if there is none.
	OldestScattered time.Time `json:"oldest_scattered,omitzero"`

	Sources int64 `json:"sources"` // that feed it and are not delivered to their end
	Sealed  bool  `json:"sealed"`  // no further source can join
	// Expires is the time out of use after which the queue is deleted with its flow, see bridge.Expire. It
	// is 0 for a queue that does not expire, and for the queues behind another one.
	Expires  time.Duration `json:"expires,omitempty"`
	Consumer string        `json:"consumer"` // its stage, as "stage:<id>", or its gather, as "gather:<id>"; "" for none
	// Gather is the process of the gather that reads the queue, nil if none does. Snapshot.Gathers has
	// what it reports.
	Gather *Process `json:"gather,omitempty"`
	From   []string `json:"from"`  // the queues that its items were scattered into
	Flow   string   `json:"flow"`  // the first of these, or its own name
	Owner  string   `json:"owner"` // id of the Executor that it goes with, "" for a named queue
	// Partition is the number of the partition that has the queue, 0 if there is only one.
	Partition int    `json:"partition"`
	Broken    string `json:"broken,omitempty"` // why the queue cannot be read, "" if it can
}

// The states of a queue.
const (
	Open   = "open"   // sources may join
	Sealed = "sealed" // none may, and one has not ended
	Ended  = "ended"  // all sources have ended
	Broken = "broken" // Redis refuses to read a key of the queue
)

// Unread returns the items that no consumer has read, wherever they are.
func (q Queue) Unread() int64 { return q.Waiting + q.Requeued + q.Suspects + q.Delayed }

// Source describes a source, one scatter into a queue, that is not delivered to its end.
type Source struct {
	Name  string `json:"name"`
	Queue string `json:"queue"`
	// State is "open", "full" while it waits for room in its queue, "window" while it waits for its
	// gathers, "redis" while it waits for an answer of Redis, "away" if its process is gone and a
	// successor may come, "cut" if it was given up before its end, and "ended".
	State     string `json:"state"`
	Stored    int64  `json:"stored"`    // items so far
	End       int64  `json:"end"`       // number of its items, -1 until it has ended
	Delivered int64  `json:"delivered"` // items that all gathers have delivered, -1 if nothing has gathered
	Dropped   int64  `json:"dropped"`   // items that its overflow policy has dropped
	Durable   bool   `json:"durable"`   // see bridge.DurableSource
	Why       string `json:"why"`       // why it was cut or is away
	// Since is since when the source waits without a break, by the clock of Redis. It is zero if it
	// does not, or is not known.
	Since time.Time `json:"since,omitzero"`
	// Waited is the share of the last ten seconds in which the source waited for room in its queue or
	// for its gathers, and Caller the share in which it had no item to store: from 0 to 1. Its process
	// reports them with its heartbeat.
	Waited float64 `json:"waited"`
	Caller float64 `json:"caller"`
	// By is the process that adds to it, or that has left it behind; nil if it goes with none, or has
	// ended.
	By *Process `json:"by,omitempty"`
	// Partition is the number of the partition that has the source, 0 if there is only one.
	Partition int `json:"partition"`
}

// The states of a source, beside Open and Ended.
const (
	Full     = "full"   // it waits for room in its queue
	Window   = "window" // it waits for its gathers
	NoAnswer = "redis"  // it waits for an answer of Redis
	Away     = "away"   // its process is gone, and a successor may come
	Cut      = "cut"    // it was given up before its end
)
