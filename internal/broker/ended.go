package broker

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// An EndedStage is the work of a stage that has gone.
type EndedStage struct {
	At       time.Time // when it was removed, by the clock of Redis
	Began    time.Time // when the last of its queues was made, likewise; zero if that is not known
	ID, Kind string
	Function string
	Flow     string           // queue in which its flow began
	Ins      map[string]int64 // incarnations of its in-queues, with the items that came to each; 32 at most
	Outs     map[string]int64 // of its out-queues, likewise
	Items    int64            // that have a result, as workers have reported them
	Failed   int64            // failures of the function among them
	Times    Histogram        // of the time for an item
	// Errors have Key, Count, Code and Message: the beginning of that of a recent failure. A process that
	// has reported after the removal adds its eight most frequent ones to the eight of the stage.
	Errors []ErrorGroup
}

// endedPage is the number of records that one round trip reads.
const endedPage = 250

// EndedStages returns the last stages of the partition that have gone, the latest first: those of
// about 2,000 records. A stage without items in its flow leaves none. It takes a round trip for each 250 records.
func (c *Client) EndedStages(ctx context.Context) (stages []EndedStage, err error) {
	late := map[string]*EndedStage{} // counts that were reported after the removal, by id and number of the stage
	for before := "+"; ; {
		var page []redis.XMessage
		err := c.try(ctx, "read the stages that have gone", func(ctx context.Context) (err error) {
			page, err = c.rdb.XRevRangeN(ctx, c.keys.runs(), before, "-", endedPage).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, entry := range page {
			text := func(field string) string { s, _ := entry.Values[field].(string); return s }
			number := text("stage") + " " + text("seq")
			counts := late[number]
			if counts == nil {
				counts = &EndedStage{}
				late[number] = counts
			}
			counts.add(text)
			if text("ins") != "" {
				counts.describe(entry.ID, text)
				stages = append(stages, *counts)
				delete(late, number)
			}
		}
		if len(page) < endedPage {
			return stages, nil
		}
		before = "(" + page[len(page)-1].ID
	}
}

// add adds the counts of a record.
func (s *EndedStage) add(text func(field string) string) {
	s.Items += parseInt(text("n"))
	s.Failed += parseInt(text("failed"))
	var times Histogram
	buckets := strings.Fields(text("times"))
	for i := 0; i+1 < len(buckets); i += 2 {
		if bucket, err := strconv.Atoi(buckets[i]); err == nil {
			times.set(bucket, parseInt(buckets[i+1]))
		}
	}
	s.Times.Merge(&times)
	for line := range strings.SplitSeq(text("errors"), "\n") {
		if fields := strings.SplitN(line, " ", 3); len(fields) == 3 {
			s.addErrors(fields[0], parseInt(fields[1]), fields[2])
		}
	}
}

func (s *EndedStage) addErrors(key string, count int64, sample string) {
	for i := range s.Errors {
		if s.Errors[i].Key == key {
			s.Errors[i].Count += count
			return
		}
	}
	var g ErrorGroup
	if json.Unmarshal([]byte(sample), &g) == nil {
		g.Key, g.Count = key, count
		s.Errors = append(s.Errors, g)
	}
}

// describe sets the other fields, from the record of the removal.
func (s *EndedStage) describe(id string, text func(field string) string) {
	s.At, s.ID, s.Kind, s.Function, s.Flow = timeOfID(id), text("stage"), text("kind"), text("fn"), text("flow")
	s.Ins, s.Outs = parseAmounts(text("ins")), parseAmounts(text("outs"))
	if made := parseInt(text("made")); made > 0 {
		s.Began = time.UnixMilli(made)
	}
}

// parseAmounts parses "name number name number".
func parseAmounts(text string) map[string]int64 {
	fields, amounts := strings.Fields(text), map[string]int64{}
	for i := 0; i+1 < len(fields); i += 2 {
		amounts[fields[i]] = parseInt(fields[i+1])
	}
	return amounts
}
