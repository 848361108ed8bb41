package workers

import (
	"context"
	"errors"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// errCanceled is why the context of a function ended whose future has a result:
// somebody canceled it.
var errCanceled = errors.New("the future was canceled")

// cancelStale calls canceled once a heartbeat until ctx ends: a hint may be lost.
func (l *session) cancelStale(ctx context.Context) {
	tick := time.NewTicker(l.lease / broker.Beats)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := l.canceled(ctx); err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "canceled futures cannot be read", "err", err)
		}
	}
}

// canceled stops the functions whose futures have a result already.
func (l *session) canceled(ctx context.Context) error {
	var ids []string
	var stops []func()
	for _, h := range l.slots {
		if id, stop := h.now.awaited(); stop != nil {
			ids, stops = append(ids, id), append(stops, stop)
		}
	}
	if ids == nil {
		return nil
	}
	settled, err := l.client.Settled(ctx, ids)
	for i, done := range settled {
		if done {
			stops[i]()
		}
	}
	return err
}
