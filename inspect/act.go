package inspect

import "time"

// Act describes an action of an operator. A partition keeps about a thousand.
type Act struct {
	At     time.Time `json:"at"` // by the clock of Redis
	By     string    `json:"by"` // the operator, such as "ann@host"
	Verb   string    `json:"verb"`
	Object string    `json:"object"` // of the verb: a stage, a queue, an item, a worker or a dead letter
	Count  int64     `json:"count"`  // items that it was about, 0 if they are not counted
	Reason string    `json:"reason"` // as the operator gave it, "" for none
	// Partition is the number of the partition that has the object, 0 if there is only one.
	Partition int `json:"partition"`
}

// Pause says which operator has paused a stage.
type Pause struct {
	By  string    `json:"by"`
	At  time.Time `json:"at"` // by the clock of Redis
	Why string    `json:"why"`
}

// text says who has paused a stage, and why.
func (p *Pause) text() string {
	switch {
	case p == nil:
		return ""
	case p.Why == "":
		return ", by " + p.By
	}
	return ", by " + p.By + ": " + p.Why
}
