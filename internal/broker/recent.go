package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// The ring slots that RecentReports reads: the present ones, and those of the half minute and of the
// five minutes before.
const (
	recentSeconds = 4
	recentMinutes = 6
)

// The number of stages whose counts, or whose error groups, are read in one round trip.
const (
	reportsTrip = 1000
	errorsTrip  = 100
)

// RecentReports reads the totals of stages and their work of the last half minute (Seconds) and the
// last five minutes (Minutes) before now, the time of Redis. It does not read Errors. It takes one
// round trip for each thousand stages.
func (c *Client) RecentReports(ctx context.Context, stages []string, now time.Time) (reports []StageReport, err error) {
	for page := range slices.Chunk(stages, reportsTrip) {
		some, err := c.recentReports(ctx, page, now)
		if err != nil {
			return nil, err
		}
		reports = append(reports, some...)
	}
	return reports, nil
}

func (c *Client) recentReports(ctx context.Context, stages []string, now time.Time) ([]StageReport, error) {
	var fields []string
	for i := range int64(recentSeconds) {
		fields = append(fields, fmt.Sprint("s", (now.UnixMilli()/10_000-i)%ringSlots))
	}
	for i := range int64(recentMinutes) {
		fields = append(fields, fmt.Sprint("m", (now.UnixMilli()/60_000-i)%ringSlots))
	}
	totals, slots := make([]*redis.MapStringStringCmd, len(stages)), make([]*redis.SliceCmd, len(stages))
	err := c.pipeReports(ctx, func(p redis.Pipeliner) {
		for i, id := range stages {
			totals[i], slots[i] = p.HGetAll(ctx, c.keys.totals(id)), p.HMGet(ctx, c.keys.history(id), fields...)
		}
	})
	if err != nil {
		return nil, err
	}
	reports := make([]StageReport, len(stages))
	for i, id := range stages {
		history := map[string]string{}
		for j, value := range slots[i].Val() {
			if text, ok := value.(string); ok {
				history[fields[j]] = text
			}
		}
		reports[i].Stage = id
		r := &reports[i]
		r.read(totals[i].Val(), history, nil)
		r.Seconds = since(r.Seconds, now, recentSeconds)
		r.Minutes = since(r.Minutes, now, recentMinutes)
	}
	return reports, nil
}

// since drops the slots of a ring that have not been written since their last turn.
func since(slots []TimeSlot, now time.Time, most int) []TimeSlot {
	return slices.DeleteFunc(slots, func(s TimeSlot) bool { return now.Sub(s.Start) >= time.Duration(most)*s.Length })
}

// StageErrors reads the error groups of stages, in their order, each with the last seen first. It
// takes one round trip for each hundred stages: a stage may have 200 KB.
func (c *Client) StageErrors(ctx context.Context, stages []string) (found [][]ErrorGroup, err error) {
	for page := range slices.Chunk(stages, errorsTrip) {
		some, err := c.stageErrors(ctx, page)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

func (c *Client) stageErrors(ctx context.Context, stages []string) ([][]ErrorGroup, error) {
	groups := make([]*redis.MapStringStringCmd, len(stages))
	err := c.pipeReports(ctx, func(p redis.Pipeliner) {
		for i, id := range stages {
			groups[i] = p.HGetAll(ctx, c.keys.errors(id))
		}
	})
	if err != nil {
		return nil, err
	}
	found := make([][]ErrorGroup, len(stages))
	for i := range stages {
		var r StageReport
		r.read(nil, nil, groups[i].Val())
		found[i] = r.Errors
	}
	return found, nil
}

// pipeReports sends reads of the keys of stages in one round trip. A foreign key in the place of one
// of them does not affect other stages.
func (c *Client) pipeReports(ctx context.Context, send func(p redis.Pipeliner)) error {
	return c.try(ctx, "read the reports of stages", func(ctx context.Context) error {
		_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			send(p)
			return nil
		})
		if hasCode(err, "WRONGTYPE") {
			return nil
		}
		return err
	})
}
