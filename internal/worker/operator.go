package worker

import (
	"context"
	"strconv"
	"strings"
)

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

// undrain lets the worker take again what it leaves since drain.
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
