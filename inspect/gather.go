package inspect

import "time"

// Gather describes a gather: the one reader of the results of a queue. The fields from Delivered on
// are those of the last heartbeat of its process.
type Gather struct {
	Queue string  `json:"queue"`
	By    Process `json:"by"`
	// State is "open" while the gather takes results as they come, "reader" while it waits for its
	// program, "missing" while it waits for an item that is not there, see Wants, "dead" if its process
	// is, and "unknown" if its process has not reported it. A process reports only as many as fit into
	// 4 KiB, those that wait longest first.
	State string `json:"state"`
	// Delivered is the number of items that the program has taken since the gather began, or
	// acknowledged with ManualAck.
	Delivered int64 `json:"delivered"`
	// Held is the number of items in the memory of the gather, which wait for an item before them or
	// for the program. Those that lie in the channel of the program are among them.
	Held      int64 `json:"held"`
	HeldBytes int64 `json:"held_bytes"` // of their frames
	// Wants is the stored item that the gather has waited for longest, nil if it waits for none.
	Wants *Wanted `json:"wants,omitempty"`
	// Reader is the share of the last ten seconds in which the gather waited for its program: from 0
	// to 1.
	Reader float64 `json:"reader"`
	// Since is since when it waits for its program without a break, by the clock of Redis. It is zero
	// if it does not.
	Since time.Time `json:"since,omitzero"`
	// Delivery counts the delivered items by the time since their scatter. It is nil without one, and if
	// the report of the process has no room for it.
	Delivery  *Histogram `json:"delivery"`
	Partition int        `json:"partition"`
}

// Wanted is a stored item that a gather cannot deliver, since it has not arrived. See
// executor.Executor.Where for the place where it is.
type Wanted struct {
	Source string    `json:"source"`
	Offset int64     `json:"offset"`
	Since  time.Time `json:"since"` // by the clock of Redis
}

// The states of a gather, beside Open and Dead.
const (
	Reader  = "reader"  // it waits for its program to take a result
	Missing = "missing" // it waits for an item that has not arrived
	Unknown = "unknown" // its process has not reported it
)
