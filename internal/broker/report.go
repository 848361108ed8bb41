package broker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// StageCounts count the work on a stage: of one report, or of all of them.
type StageCounts struct {
	Items   int64         // that have a result: a value or a failure
	Failed  int64         // failures of the function among them
	Retried int64         // attempts that failed and that another attempt follows
	Lost    int64         // of Items, those whose results were not stored: another worker was first
	Batches int64         // calls for one or several items
	Bytes   int64         // of the frames that were read
	Spent   time.Duration // time of the calls that have returned
	Busy    time.Duration // time of all calls, also of those that have not returned
	Full    time.Duration // time, summed over workers, in which entries waited and an out-queue had no room
	// OtherErrors are failures that are in no error group: a report has at most MaxReportGroups.
	OtherErrors int64
}

// MaxReportGroups is the number of error groups that a report has of a stage at most.
const MaxReportGroups = 16

// keptGroups is the number of error groups that Redis keeps of a stage.
const keptGroups = 64

// A total is a count with its field of the key t:<stage>.
type total struct {
	field string
	value *int64
}

// totals returns the counts with their fields.
func (s *StageCounts) totals() []total {
	return []total{
		{"n", &s.Items},
		{"failed", &s.Failed},
		{"retried", &s.Retried},
		{"lost", &s.Lost},
		{"batches", &s.Batches},
		{"bytes", &s.Bytes},
		{"spent", (*int64)(&s.Spent)},
		{"busy", (*int64)(&s.Busy)},
		{"full", (*int64)(&s.Full)},
		{"other", &s.OtherErrors},
	}
}

// Add adds other counts.
func (s *StageCounts) Add(other StageCounts) {
	more := other.totals()
	for i, t := range s.totals() {
		*t.value += *more[i].value
	}
}

// An ErrorGroup counts failures whose codes are equal and whose messages differ only in numbers,
// ids and quoted text. Its other fields are those of a recent one.
type ErrorGroup struct {
	Key         string    `json:"-"`
	Count       int64     `json:"-"`
	First, Last time.Time `json:"-"` // by the clock of Redis; not set in a report

	Code    string `json:"code"`
	Message string `json:"msg"`
	Source  string `json:"source"`
	Offset  int64  `json:"offset"`
	Attempt int    `json:"attempt"`
	Worker  string `json:"worker"`
	Stack   string `json:"stack,omitempty"` // of a panic
}

// A StageWork is the part of a report about one stage, which has one in-queue.
type StageWork struct {
	Stage  Stage
	Counts StageCounts
	Times  Histogram // of the time for an item
	Waits  Histogram // of the time of an item in the in-queue, see Client.Wait
	Errors []ErrorGroup
}

// A Report is the work of a process since its last report. Numbers of a process begin with 1.
type Report struct {
	Number int64
	Stages []StageWork
}

// Report adds a report of a worker to the counts of the stages, unless a report of its number was
// added before. Stages that are gone are left out. watched tells whether a process has called
// MarkWatched lately. Report does not retry: after an error, the caller sends the same report again.
// It returns ErrFenced if the worker was declared dead, and ErrDenied if the Redis user may not
// report.
func (c *Client) Report(ctx context.Context, worker string, r Report) (watched bool, err error) {
	k := c.keys
	keys, args := []string{k.card(RoleWorker, worker), k.stages(), k.watched(), k.runs()}, []any{r.Number, keptGroups}
	for i := range r.Stages {
		s := &r.Stages[i]
		in := s.Stage.Ins[0].Name
		keys = append(keys, k.stream(in), k.meta(in), k.totals(s.Stage.ID), k.history(s.Stage.ID), k.errors(s.Stage.ID))
		if args, err = s.appendTo(args); err != nil {
			return false, err
		}
	}
	reply, err := scripts.report.Run(ctx, c.rdb, keys, args...).Result()
	c.observe(ctx, "report", err)
	if err != nil {
		return false, fmt.Errorf("report: %w", c.withRemedy(err))
	}
	l := asList(reply)
	if l.text(0) == "fenced" {
		return false, fmt.Errorf("report of worker %s: %w", worker, ErrFenced)
	}
	return l.number(1) == 1, nil
}

// The fields of t:<stage> for buckets begin with these, and end with the number of the bucket.
const (
	timeField = "b"
	waitField = "w"
)

// appendTo appends the arguments of report.lua for a stage.
func (s *StageWork) appendTo(args []any) ([]any, error) {
	var added []any
	for _, t := range s.Counts.totals() {
		if *t.value != 0 {
			added = append(added, t.field, *t.value)
		}
	}
	if waited := s.Waits.Sum(); waited > 0 {
		added = append(added, "waited", int64(waited))
	}
	s.Times.each(func(bucket int, count int64) { added = append(added, timeField+strconv.Itoa(bucket), count) })
	s.Waits.each(func(bucket int, count int64) { added = append(added, waitField+strconv.Itoa(bucket), count) })
	args = append(args, s.Stage.ID, s.Stage.Seq, s.Stage.Function, s.Counts.Items, s.Counts.Failed, s.Counts.Busy.Milliseconds(),
		s.Counts.Full.Milliseconds(), len(added)/2, len(s.Errors))
	args = append(args, added...)
	for _, group := range s.Errors {
		sample, err := json.Marshal(group)
		if err != nil {
			return nil, err
		}
		args = append(args, group.Key, group.Count, sample)
	}
	return args, nil
}

// watchedTTL is the time for which workers show all of their slots after a call of MarkWatched.
const watchedTTL = 10 * time.Second

// MarkWatched makes the workers show, for 10 seconds, the call of each slot: from the next report of a
// worker on, and without the time that Running otherwise leaves out.
func (c *Client) MarkWatched(ctx context.Context) error {
	return c.try(ctx, "mark the workers as watched", func(ctx context.Context) error {
		err := c.rdb.Set(ctx, c.keys.watched(), 1, watchedTTL).Err()
		if isFull(err) { // a list with fewer calls is better than none
			return nil
		}
		return err
	})
}

// A StageReport is the sum of all reports about a stage.
type StageReport struct {
	Stage      string // its id
	Counts     StageCounts
	Last       time.Time    // of the last report, by the clock of Redis; zero: there was none
	Times      Histogram    // of the time for an item
	Waits      Histogram    // of the time of an item in the in-queue; empty: no worker has reported it
	Errors     []ErrorGroup // the last seen first
	GroupsGone int64        // error groups that made way for newer ones
	Seconds    []TimeSlot   // of 10 s each, of about the last ten minutes in which there were reports, the oldest first
	Minutes    []TimeSlot   // of a minute each, likewise, of an hour
}

// A TimeSlot is the work on a stage within a time. Slots without a report are left out.
type TimeSlot struct {
	Start         time.Time // by the clock of Redis
	Length        time.Duration
	Items, Failed int64
	Busy          time.Duration
	Full          time.Duration // see StageCounts
	// These were so at the first report of the slot:
	Waiting      int64         // items in the in-queue
	Oldest       time.Duration // age of the first of these
	Added, Fused int64         // items that have come to the stage so far: through the in-queue, and beside it
}

// Reports reads the counts of stages, in their order. A stage without reports has only its id. It
// takes one round trip for any number of stages.
func (c *Client) Reports(ctx context.Context, stages []string) ([]StageReport, error) {
	if len(stages) == 0 {
		return nil, nil
	}
	hashes := make([]*redis.MapStringStringCmd, 0, 3*len(stages))
	err := c.try(ctx, "read the reports of stages", func(ctx context.Context) error {
		hashes = hashes[:0]
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, id := range stages {
				hashes = append(hashes, p.HGetAll(ctx, c.keys.totals(id)), p.HGetAll(ctx, c.keys.history(id)), p.HGetAll(ctx, c.keys.errors(id)))
			}
			return nil
		})
		if hasCode(err, "WRONGTYPE") { // a foreign key: its stage has no counts
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	reports := make([]StageReport, len(stages))
	for i, id := range stages {
		reports[i].Stage = id
		reports[i].read(hashes[3*i].Val(), hashes[3*i+1].Val(), hashes[3*i+2].Val())
	}
	return reports, nil
}

// read parses the three hashes of a stage.
func (r *StageReport) read(totals, history, groups map[string]string) {
	for _, t := range r.Counts.totals() {
		*t.value = parseInt(totals[t.field])
	}
	r.GroupsGone = parseInt(totals["groupsgone"])
	if last := parseInt(totals["last"]); last > 0 {
		r.Last = time.UnixMilli(last)
	}
	r.Times.read(totals, timeField)
	r.Times.sum = r.Counts.Spent
	r.Waits.read(totals, waitField)
	r.Waits.sum = time.Duration(parseInt(totals["waited"]))
	for field, value := range history {
		switch {
		case strings.HasPrefix(field, "s"):
			r.Seconds = append(r.Seconds, parseSlot(value, 10*time.Second))
		case strings.HasPrefix(field, "m"):
			r.Minutes = append(r.Minutes, parseSlot(value, time.Minute))
		}
	}
	r.Seconds, r.Minutes = recentSlots(r.Seconds), recentSlots(r.Minutes)
	for key, value := range groups {
		r.Errors = append(r.Errors, parseGroup(key, value))
	}
	slices.SortFunc(r.Errors, func(a, b ErrorGroup) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key, b.Key))
	})
}

// ringSlots is the number of slots in each ring of h:<stage>.
const ringSlots = 60

// recentSlots sorts slots and drops those that are older than a whole ring.
func recentSlots(all []TimeSlot) []TimeSlot {
	slices.SortFunc(all, func(a, b TimeSlot) int { return a.Start.Compare(b.Start) })
	if len(all) == 0 {
		return nil
	}
	newest := all[len(all)-1]
	return slices.DeleteFunc(all, func(s TimeSlot) bool { return newest.Start.Sub(s.Start) >= ringSlots*s.Length })
}

// parseSlot parses "slot n failed busy_ms waiting oldest_ms full_ms added fused".
func parseSlot(value string, length time.Duration) TimeSlot {
	var n [9]int64
	for i, field := range strings.Fields(value) {
		if i < len(n) {
			n[i] = parseInt(field)
		}
	}
	return TimeSlot{
		Start: time.UnixMilli(n[0] * length.Milliseconds()), Length: length, Items: n[1], Failed: n[2], Busy: time.Duration(n[3]) * time.Millisecond,
		Waiting: n[4], Oldest: time.Duration(n[5]) * time.Millisecond, Full: time.Duration(n[6]) * time.Millisecond, Added: n[7], Fused: n[8],
	}
}

// parseGroup parses "count first last sample".
func parseGroup(key, value string) (g ErrorGroup) {
	fields := append(strings.SplitN(value, " ", 4), "", "", "", "")
	if err := json.Unmarshal([]byte(fields[3]), &g); err != nil {
		g = ErrorGroup{Message: fmt.Sprintf("malformed error group: %v", err)}
	}
	g.Key, g.Count = key, parseInt(fields[0])
	g.First, g.Last = time.UnixMilli(parseInt(fields[1])), time.UnixMilli(parseInt(fields[2]))
	return g
}

// A RunningItem is an item that a slot of a worker runs.
type RunningItem struct {
	Stage    string    `json:"stage"` // its id
	Function string    `json:"fn"`
	Queue    string    `json:"queue"` // in-queue of the stage
	Source   string    `json:"source"`
	Offset   int64     `json:"offset"`
	Items    int       `json:"items"`   // that the slot may be at, from Offset on: a batch function has several
	Attempt  int       `json:"attempt"` // from 1
	For      int64     `json:"ms"`      // for which it ran at the heartbeat, in ms
	Since    time.Time `json:"-"`       // when it began, by the clock of Redis
}

// RunningFor is the time from which on a worker shows an item that it runs.
const RunningFor = time.Second

// Running returns the items that a worker had run for more than RunningFor at its last heartbeat,
// those that run longest first. If the workers are watched, it returns all that run.
func (p Process) Running() (items []RunningItem) {
	if json.Unmarshal([]byte(p.Card["now"]), &items) != nil {
		return nil
	}
	seen := parseInt(p.Card["seen"])
	for i := range items {
		items[i].Since = time.UnixMilli(seen - items[i].For)
	}
	return items
}
