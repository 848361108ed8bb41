package broker

import (
	"context"
	"encoding/json"
	"fmt"
)

// Insert makes a stage between its in-queue and the stage next that reads it: next reads the out-queue
// of the new stage then. Both change in one step, and the leaves and marks of the flow stay. done is
// false if next has changed since it was read. Errors: ErrQueueNotFound, and ErrStageExists if the new
// stage is there already, or if its out-queue has a consumer.
func (c *Client) Insert(ctx context.Context, s, next Stage) (done bool, err error) {
	in, out := s.Ins[0], s.Outs[0].Queue
	s.V, s.Seq = s.version(), next.Seq-1 // workers serve the stage behind it first
	moved := next
	moved.Ins = []Queue{out}
	moved.V = moved.version()
	var records [2][]byte
	for i, stage := range []Stage{s, moved} {
		if records[i], err = json.Marshal(stage); err != nil {
			return false, err
		}
	}
	reply, err := c.run(ctx, "insert stage "+s.ID, scripts.insert,
		[]string{c.keys.stages(), c.keys.registry(RoleWorker), c.keys.meta(in.Name), c.keys.meta(out.Name)},
		s.ID, records[0], c.keys.prefix, in.Name, out.Name, next.ID, next.Record, records[1])
	switch {
	case err != nil:
		return false, err
	case reply == "gone":
		return false, fmt.Errorf("queue %q or %q: %w", in.Name, out.Name, ErrQueueNotFound)
	case reply == "taken":
		return false, fmt.Errorf("stage %q: %w, or queue %q has a consumer: use another name", s.ID, ErrStageExists, out.Name)
	}
	return reply == "ok", nil
}
