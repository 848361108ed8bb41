package inspect

import "time"

// A Page is a part of the items of a queue.
type Page struct {
	Queue string `json:"queue"`
	Type  string `json:"type"`
	Codec string `json:"codec"`
	Items []Item `json:"items"`
	Next  string `json:"next,omitempty"` // position behind the last item; "" if there is no further one
}

// An Item is an item of a queue, read without taking it.
type Item struct {
	// Position is the place of the item in the queue, from which a later call can go on.
	Position string `json:"position"`
	// State is "waiting", "requeued", "suspect", "delayed" or "held", see Location.
	State    string `json:"state"`
	Source   string `json:"source"`
	Offset   int64  `json:"offset"`
	Attempts int    `json:"attempts"` // failed calls of the function so far
	Crashes  int    `json:"crashes"`  // workers that died while they had it
	// Since is when its batch came into this stream of the queue, by the clock of Redis.
	Since time.Time `json:"since,omitzero"`
	Bytes int       `json:"bytes"` // of the encoded item; of its batch if Form is "large"
	// Form says what Text is.
	Form string `json:"form"`
	Text string `json:"text"`          // at most 4 KiB
	Cut  bool   `json:"cut,omitempty"` // Text is only the begin of the item
}

// The forms of the text of an item.
const (
	JSONForm    = "json"    // a value in JSON
	TextForm    = "text"    // the item itself, or the begin of a value in JSON
	Base64Form  = "base64"  // bytes that are no text, in base64
	FailureForm = "failure" // the item has no value, and this is why
	LargeForm   = "large"   // empty: the item is in a batch of more than 2 MiB, which was not read
)
