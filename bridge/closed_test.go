package bridge_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// Close ends the calls that wait, each with an error that says so: a standby, an acknowledgement,
// and a gather.
func TestCloseEndsStandbysAndAcknowledgements(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(3))
		results := must(bridge.Gather(t.Context(), q, bridge.ManualAck()))(t)
		first, second := <-results, <-results
		if err := first.AckWait(t.Context()); err != nil {
			t.Error(err)
		}
		second.Nack(time.Hour)
		waiting := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			close(begun)
			_, err := bridge.Gather(t.Context(), q, bridge.Wait())
			waiting <- err
		}()
		<-begun
		third := <-results
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
		if err := <-waiting; !errors.Is(err, executor.ErrClosed) {
			t.Errorf("the standby ends with %v", err)
		}
		if err := third.AckWait(t.Context()); !errors.Is(err, executor.ErrClosed) || !errors.Is(err, bridge.ErrOver) {
			t.Errorf("an acknowledgement behind Close: %v", err)
		}
		if err := first.AckWait(t.Context()); err != nil {
			t.Errorf("an acknowledgement that was stored: %v", err)
		}
		third.Nack(0)
		bridge.AckAll([]bridge.Result[int]{first, second, third})
		cut(t, results, executor.ErrClosed)
		if _, err := bridge.Gather(context.Background(), q, bridge.Wait()); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("a standby behind Close: %v", err)
		}
	})
}
