package inspect

import "time"

// EndedFlow describes a flow that has gone: the work of its stages until they were removed. A partition keeps
// the last ones, about 2,000 records of stages and of counts that workers reported afterwards.
type EndedFlow struct {
	Name  string   `json:"name"`  // of the queue in which the flow began
	Chain []string `json:"chain"` // the functions of its stages, those behind others later
	// Began is when the queues of its first stage were made, by the clock of Redis; zero if that is not known.
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended"` // when the last of its stages was removed
	// Items are the results of its last stages, with the failed ones. Each branch of a copy has its own.
	Items  int64 `json:"items"`
	Failed int64 `json:"failed"` // items whose function failed, in any stage
	// Errors are the most frequent failures, three groups at most.
	Errors    []EndedError `json:"errors"`
	Stages    []EndedStage `json:"stages"` // those behind others later
	Partition int          `json:"partition"`
}

// EndedStage describes a stage of an ended flow. The counts are those that workers have reported, until
// some seconds after the stage was removed.
type EndedStage struct {
	ID       string        `json:"id"`
	Kind     string        `json:"kind"` // see Stage
	Function string        `json:"function"`
	Done     int64         `json:"done"` // items that have a result, with the failed ones
	Failed   int64         `json:"failed"`
	P50      time.Duration `json:"p50_ns"` // half of the items took at most this time; off by 9 percent at most
	P99      time.Duration `json:"p99_ns"` // 99 of 100 items took at most this time; likewise
}

// EndedError describes failures of a stage whose codes are equal and whose messages differ only in
// numbers, ids and quoted text.
type EndedError struct {
	Stage    string `json:"stage"` // its id
	Function string `json:"function"`
	Code     string `json:"code"`    // the kind of failure, see ItemError
	Message  string `json:"message"` // the beginning of that of a recent one, at most 200 bytes
	Count    int64  `json:"count"`   // attempts that failed so, also those that another one followed
}
