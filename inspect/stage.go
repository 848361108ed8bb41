package inspect

import "time"

// Stage describes a stage.
type Stage struct {
	ID       string   `json:"id"`
	Kind     string   `json:"kind"` // "map", "filter", "flatmap", "copy" or "future"
	Function string   `json:"function"`
	In       []string `json:"in"`
	Out      []string `json:"out"`
	Workers  int      `json:"workers"` // live workers that have the function and take items
	Slots    int      `json:"slots"`   // of these workers together
	Others   int      `json:"others"`  // live workers that have it with other types, and so leave the stage alone
	// Limits describes the limits of all workers together, "" if the stage has none, such as
	// "4 calls at once, 100 calls in 1s, 500 items a call within 1s".
	Limits string `json:"limits"`
	// MaxConcurrency is the number of calls of all workers that may run at once, 0: any number.
	MaxConcurrency int `json:"max_concurrency"`
	// MaxRate is the number of items a second whose calls may begin, of all workers, 0: any number.
	MaxRate  float64  `json:"max_rate"`
	Tags     []string `json:"tags"`     // that a worker needs to run it
	Untagged int      `json:"untagged"` // live workers that have the function and lack one of the tags
	Paused   bool     `json:"paused"`   // no worker runs it: see Pause, or the process that it goes with is dead
	Pause    *Pause   `json:"pause"`    // of an operator; nil if none has paused it

	// The following are counted by the workers, which report them about once a heartbeat. Each stage
	// counts its own items and time, also where one worker runs several stages one after another.
	Done    int64         `json:"done"`     // items that have a result, with the failed ones
	Failed  int64         `json:"failed"`   // of these, items whose function failed
	Retried int64         `json:"retried"`  // failed attempts that another one followed
	Lost    int64         `json:"lost"`     // of the done items, results that another worker was faster to store
	Batches int64         `json:"batches"`  // calls, each for one or several items
	Spent   time.Duration `json:"spent_ns"` // time of the calls that have returned
	Busy    time.Duration `json:"busy_ns"`  // time of all calls, also of those that have not returned
	Full    time.Duration `json:"full_ns"`  // time in which items waited in a worker for room behind the stage
	Cost    time.Duration `json:"cost_ns"`  // mean time of an item, 0 if none is done
	P50     time.Duration `json:"p50_ns"`   // half of the items took at most this time; off by 9 percent at most
	P99     time.Duration `json:"p99_ns"`   // 99 of 100 items took at most this time; likewise
	// P95 is between them, and Max is the longest time of an item, likewise. Both are nil if no item is
	// done.
	P95 *time.Duration `json:"p95_ns"`
	Max *time.Duration `json:"max_ns"`
	// BatchSize is the mean number of items of a call, nil without a call.
	BatchSize *float64 `json:"batch_size"`
	// Wait counts the items that came through the in-queue by the time from there to their call: since
	// they were added, or came back. It is nil if no worker has reported it.
	Wait *Histogram `json:"wait"`
	// Times counts the items by the time that each took, the shortest first. It leaves out buckets
	// without items.
	Times []Bucket `json:"times,omitempty"`
	// Rate is the number of items done in a second, over the last half minute.
	Rate float64 `json:"rate"`
	// RecentDone and RecentFailed are Done and Failed of the last five minutes.
	RecentDone   int64 `json:"recent_done"`
	RecentFailed int64 `json:"recent_failed"`
	// Recent is the work of the last half minute, of which Rate is the mean.
	Recent Work      `json:"recent"`
	Last   time.Time `json:"last,omitzero"` // of the last report, by the clock of Redis; zero if there was none
	// Partition is the number of the partition that has the stage, 0 if there is only one.
	Partition int `json:"partition"`
}

// A Histogram counts items by a time of each.
type Histogram struct {
	Count int64         `json:"count"`
	Sum   time.Duration `json:"sum_ns"`
	P50   time.Duration `json:"p50_ns"` // half of the items have at most this time; off by 9 percent at most
	P95   time.Duration `json:"p95_ns"` // likewise
	P99   time.Duration `json:"p99_ns"`
	Max   time.Duration `json:"max_ns"`
	// Times are the buckets, the shortest first. Those without items are left out.
	Times []Bucket `json:"times"`
}

// A Bucket has the items that took less than an upper bound, which is a power of 2^(1/4) seconds, and
// at least as long as the bound before it in this series.
type Bucket struct {
	UpperSeconds float64 `json:"upper_s"`
	Count        int64   `json:"count"`
}

// Work is the work on a stage within a time.
type Work struct {
	Start  time.Time     `json:"start,omitzero"` // by the clock of Redis; zero if there was no work
	Length time.Duration `json:"length_ns"`
	Done   int64         `json:"done"` // items that have got a result, with the failed ones
	Failed int64         `json:"failed"`
	Busy   time.Duration `json:"busy_ns"` // time of all calls, summed over slots
	Full   time.Duration `json:"full_ns"` // time without room behind the stage, summed over workers
	// The following were so when the first report after Start came.
	Waiting int64         `json:"waiting"`   // items that no worker had read
	Oldest  time.Duration `json:"oldest_ns"` // age of the oldest of these batches
	Added   int64         `json:"added"`     // items that had come through the in-queue so far
	Fused   int64         `json:"fused"`     // items that had come to the stage without the in-queue so far
}

// History is the past work on a stage, the oldest first. A time without a report of a worker is left
// out.
type History struct {
	Stage   string `json:"stage"`   // its id
	Seconds []Work `json:"seconds"` // of ten seconds each, of the last ten minutes
	Minutes []Work `json:"minutes"` // of a minute each, of the last hour
}

// ErrorGroup describes failures of a stage whose codes are equal and whose messages differ only in
// numbers, ids and quoted text. The fields from Message on are those of a recent one.
type ErrorGroup struct {
	Stage     string    `json:"stage"` // its id
	Function  string    `json:"function"`
	Code      string    `json:"code"`  // the kind of failure, see ItemError
	Count     int64     `json:"count"` // attempts that failed so, also those that another one followed
	First     time.Time `json:"first"` // by the clock of Redis
	Last      time.Time `json:"last"`
	Message   string    `json:"message"`
	Source    string    `json:"source"`
	Offset    int64     `json:"offset"`
	Attempt   int       `json:"attempt"`
	Worker    string    `json:"worker"`          // id of the worker
	Stack     string    `json:"stack,omitempty"` // of a panic
	Partition int       `json:"partition"`
}
