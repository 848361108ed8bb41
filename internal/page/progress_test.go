package page

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/executor"
)

var errTask = errors.New("redis is full")

// blocked returns a task on an object that ends with its context.
func blocked(object string) task {
	return task{object, "items", 300, func(ctx context.Context, progress func(int64)) error {
		progress(100)
		<-ctx.Done()
		return fmt.Errorf("purge: %w", ctx.Err())
	}}
}

// states returns the states of the actions that a page shows.
func (l *longActs) states() string {
	var all []string
	for _, row := range l.rows(frame{Actions: true}) {
		all = append(all, fmt.Sprintf("%s %s %d/%d", row.Object, row.State, row.Done, row.Total))
	}
	return strings.Join(all, ", ")
}

func TestActionsOutliveRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLongActs(t.Context())
		defer l.close()
		a, err := l.begin("purge", "ann", blocked("queue a"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.begin("delete", "ann", blocked("queue a")); err == nil {
			t.Error("a second action of a user on the same object begins")
		}
		for _, c := range []struct{ by, object string }{{"ann", "queue b"}, {"bob", "queue a"}} {
			if _, err := l.begin("purge", c.by, blocked(c.object)); err != nil {
				t.Errorf("%v: %v", c, err)
			}
		}
		synctest.Wait()
		if got := l.states(); got != "queue a running 100/300, queue b running 100/300, queue a running 100/300" {
			t.Errorf("shown are %s", got)
		}
		if err := l.stop(a.id); err != nil {
			t.Error(err)
		}
		<-a.ended
		if got := l.states(); !strings.HasPrefix(got, "queue a stopped 100/300, queue b running") {
			t.Errorf("after a stop: %s", got)
		}
		if _, err := l.begin("purge", "ann", task{"queue a", "items", 1, func(context.Context, func(int64)) error { return errTask }}); err != nil {
			t.Errorf("after the end of the first action: %v", err)
		}
		synctest.Wait()
		if rows := l.rows(frame{Actions: true}); rows[3].State != "failed" || rows[3].Problem != errTask.Error() || rows[3].Control.Label != "Hide" {
			t.Errorf("a failed action is shown as %+v", rows[3])
		}
		<-time.After(keepEnded + time.Second)
		if got := l.states(); got != "queue b running 100/300, queue a running 100/300" {
			t.Errorf("a while later: %s", got)
		}
	})
}

// The number of actions is bounded. Those that have ended make room.
func TestActionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLongActs(t.Context())
		defer l.close()
		for i := range maxLongActs {
			if _, err := l.begin("purge", "ann", blocked(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.begin("purge", "ann", blocked("more")); err == nil {
			t.Error("there is no bound")
		}
		if err := l.stop("3"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if _, err := l.begin("purge", "ann", blocked("more")); err != nil {
			t.Errorf("an action has ended: %v", err)
		}
		if got := len(l.rows(frame{})); got != maxLongActs {
			t.Errorf("%d actions are shown", got)
		}
		if err := l.stop("3"); err == nil {
			t.Error("an action that is not shown is stopped")
		}
	})
}

// The end of a page stops its actions, and no other begins.
func TestEndOfPageStopsActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLongActs(t.Context())
		a, err := l.begin("purge", "ann", blocked("queue a"))
		if err != nil {
			t.Fatal(err)
		}
		l.close()
		select {
		case <-a.ended:
		default:
			t.Error("the action runs on")
		}
		if _, err := l.begin("purge", "ann", blocked("queue b")); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Pages get a new state at most once a second while an action goes on, and at its end.
func TestProgressWakesPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLongActs(t.Context())
		defer l.close()
		_, err := l.begin("purge", "ann", task{"queue a", "items", 0, func(_ context.Context, progress func(int64)) error {
			for i := range int64(100) {
				progress(i)
				<-time.After(100 * time.Millisecond)
			}
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Minute)
		if number, _ := l.now(); number < 10 || number > 12 {
			t.Errorf("pages have seen %d states in ten seconds", number)
		}
		if got := l.states(); got != "queue a done 99/99" {
			t.Errorf("shown is %s", got)
		}
	})
}

func TestPartsOfLetters(t *testing.T) {
	t.Parallel()
	ids := make([]string, 250)
	for name, c := range map[string]struct {
		do   func(part int) (int64, error)
		want string
	}{
		"all":       {func(int) (int64, error) { return 100, nil }, "[100 200 250] <nil>"},
		"some fail": {func(part int) (int64, error) { return 1, fmt.Errorf("%d: %w", part, errTask) }, "[100 200 250] 0: redis is full"},
		"none is done": {func(part int) (int64, error) {
			if part == 1 {
				return 0, errTask
			}
			return 100, nil
		}, "[100] redis is full"},
	} {
		var told []int64
		part := -1
		err := inParts(t.Context(), ids, func(n int64) { told = append(told, n) }, func(context.Context, []string) (int64, error) {
			part++
			return c.do(part)
		})
		if got := fmt.Sprint(told, " ", err); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	calls := 0
	err := inParts(ctx, ids, func(int64) {}, func(context.Context, []string) (int64, error) { calls++; stop(); return 7, ctx.Err() })
	if calls != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("after a stop: %d calls, %v", calls, err)
	}
}
