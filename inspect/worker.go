package inspect

import "time"

// Worker describes a worker.
type Worker struct {
	ID   string `json:"id"`
	Host string `json:"host"`
	PID  int    `json:"pid"`
	// State is "live", "late" if a heartbeat is overdue, or "silent" if none came for a lease and no
	// process has declared the worker dead, as after the death of all processes.
	State       string        `json:"state"`
	Concurrency int           `json:"concurrency"` // number of slots
	Draining    bool          `json:"draining"`    // an operator lets it take no more items
	Stuck       int           `json:"stuck"`       // calls left behind, whose functions did not return after their timeout or were abandoned
	Tags        []string      `json:"tags"`
	Functions   []string      `json:"functions"`
	Done        int64         `json:"done"`             // items so far, with the failed ones
	Failed      int64         `json:"failed"`           // items so far that failed
	Seen        time.Time     `json:"seen"`             // its last heartbeat, by the clock of Redis
	Version     string        `json:"version"`          // of its program
	Started     time.Time     `json:"started,omitzero"` // by the clock of its host
	Busy        time.Duration `json:"busy_ns"`          // time that its slots have worked, summed
	// Lease is the time without a heartbeat after which others declare it dead, 0 if it is not known.
	Lease   time.Duration `json:"lease_ns,omitempty"`
	Mailbox int64         `json:"mailbox"`         // hints that it has not read; they are 1,000 at most
	Muted   bool          `json:"muted,omitempty"` // its Redis user may not report its work on stages
	// Running are the calls that had run for more than a second at the last heartbeat, those that run
	// longest first.
	Running []Call `json:"running"`
}

// A Call is a call that a slot of a worker runs.
type Call struct {
	Stage    string    `json:"stage"` // its id
	Function string    `json:"function"`
	Queue    string    `json:"queue"` // that the stage reads
	Source   string    `json:"source"`
	Offset   int64     `json:"offset"`  // of the item in the source
	Items    int       `json:"items"`   // that the call may be at, from Offset on: those of a batch function
	Attempt  int       `json:"attempt"` // from 1
	Since    time.Time `json:"since"`   // by the clock of Redis
}

// Function describes a function that live workers have, in one version and with one pair of
// types.
type Function struct {
	Name     string `json:"name"`
	In       string `json:"in"` // the type of its input, for example "int"
	InCodec  string `json:"in_codec"`
	Out      string `json:"out"`
	OutCodec string `json:"out_codec"`
	Version  string `json:"version,omitempty"` // as given to workers.Version; a hash for a command
	Filter   bool   `json:"filter,omitempty"`  // it is a predicate, see flow.Filter
	FlatMap  bool   `json:"flatmap,omitempty"` // it yields any number of outputs, see flow.FlatMap
	Workers  int    `json:"workers"`           // live workers that have it
}
