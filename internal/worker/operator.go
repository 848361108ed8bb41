package worker

import (
	"context"
	"strconv"
	"strings"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// stop ends the call on an item. A pause that came before takes effect first, so that the slot does
// not go on with the next item of a paused stage.
func (f *fetcher) stop(ctx context.Context, h broker.Hint) error {
	if f.stages.outdated() {
		if err := f.refresh(ctx); err != nil {
			return err // the operator repeats the hint
		}
	}
	if h.Kind == broker.HintAbandon {
		f.abandonItem(ctx, h.What)
	} else {
		f.stopItem(h.What)
	}
	return nil
}

// stopItem ends the call that runs on an item, which an operator names as "source offset".
func (s *session) stopItem(item string) {
	source, offset, ok := parseItem(item)
	if !ok {
		return
	}
	for _, h := range s.slots.list() {
		h.now.cancelItem(source, offset)
	}
}

// parseItem returns the source and the offset of an item in a hint.
func parseItem(item string) (source string, offset int64, ok bool) {
	source, text, _ := strings.Cut(item, " ")
	offset, err := strconv.ParseInt(text, 10, 64)
	return source, offset, err == nil
}

// drain lets the worker take no more, in all partitions.
func (s *session) drain(ctx context.Context) {
	if !s.worker.draining.Swap(true) {
		s.log.InfoContext(ctx, "an operator drains this worker: it finishes its items and takes no more", "worker", s.id)
	}
}

// undrain lets the worker take items again.
func (s *session) undrain(ctx context.Context) {
	if s.worker.draining.Swap(false) {
		s.log.InfoContext(ctx, "this worker takes items again", "worker", s.id)
	}
}

// drainMark returns the field of the card that says whether the worker drains.
func (w *Worker) drainMark() string {
	if w.draining.Load() {
		return "1"
	}
	return ""
}
