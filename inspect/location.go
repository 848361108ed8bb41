package inspect

import "time"

// A Location says where an item of a source is. An item that a multiplex has copied has several.
type Location struct {
	// State is one of the states of a location.
	State string `json:"state"`
	Queue string `json:"queue"` // that has it, or from which it was delivered; "" if it is in none
	Text  string `json:"text"`  // the same as a sentence
	// Since is when its batch came into this state, or into its stream, by the clock of Redis. It is
	// zero if that is not known.
	Since    time.Time `json:"since,omitzero"`
	Due      time.Time `json:"due,omitzero"` // of the next attempt of a delayed item
	Attempts int       `json:"attempts"`     // failed calls of the function so far
	Crashes  int       `json:"crashes"`      // workers that died while they had it
	By       *Process  `json:"by,omitempty"` // process that holds it, or that has to send it
}

// The states of a location.
const (
	NotStored = "not stored" // its producer has not sent it
	Dropped   = "dropped"    // the overflow policy of its source has dropped it
	Waiting   = "waiting"    // no consumer has read it
	Requeued  = "requeued"   // it came back from a worker and waits to be read again
	Suspect   = "suspect"    // the same, and two workers have died with it
	Delayed   = "delayed"    // it waits for another attempt
	Held      = "held"       // a worker or a gather has read it and not finished
	Delivered = "delivered"  // its result is delivered
	Gone      = "gone"       // its source does not exist, or does not any more
	Moving    = "moving"     // it is between two queues, or lost: its gather reports a lost item
)
