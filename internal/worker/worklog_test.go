package worker

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// loggingSession returns a session that reports nothing, and its log without times.
func loggingSession(drain time.Duration) (*session, *memoryLog) {
	log := new(memoryLog)
	handler := slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}})
	s := &session{id: "w", worker: &Worker{Options: Options{Drain: drain}}, lease: 10 * time.Second, log: slog.New(handler)}
	s.reporter.muted = true
	return s, log
}

// A memoryLog keeps what is logged.
type memoryLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *memoryLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *memoryLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// taken returns the lines that were logged since the last call.
func taken(l *memoryLog) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	l.text.Reset()
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// A worker logs the work of each minute, per stage, and nothing about an idle one.
func TestWorkIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, log := loggingSession(0)
		busy, idle := &route{stage: broker.Stage{ID: "busy", Function: "f"}}, &route{stage: broker.Stage{ID: "idle", Function: "g"}}
		s.reporter.add([]*route{busy, idle})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.atEachBeat(ctx) }()
		idle.beginFull()
		for i := range 30 {
			<-time.After(time.Second)
			message := []string{"order 7 is bad\nand more", "a later error"}[min(i, 1)]
			busy.failed(failedAttempt{failure: batch.Failure{Code: "error", Message: message}, source: "s"})
			busy.record(step{Result: runner.Result{N: 10, Items: 10, Failed: 2, Spent: time.Millisecond}}, time.Millisecond, 1)
		}
		synctest.Wait()
		if text := log.String(); text != "" {
			t.Errorf("within the minute: %s", text)
		}
		<-time.After(33 * time.Second)
		synctest.Wait()
		if lines := taken(log); len(lines) != 1 || lines[0] != `msg=work stage=busy function=f done=300 failed=60 rate=5 err="order 7 is bad"` {
			t.Errorf("after a minute: %q", lines)
		}
		<-time.After(5 * time.Minute)
		synctest.Wait()
		if text := log.String(); text != "" || len(s.reporter.log.stages) != 0 {
			t.Errorf("in idle minutes: %s, kept are %d stages", text, len(s.reporter.log.stages))
		}
		idle.endFull()
		stop()
		<-ended
	})
}

// A call that runs for minutes is work without a done item.
func TestALongCallIsLoggedAsWork(t *testing.T) {
	t.Parallel()
	var l workLog
	l.add(broker.StageWork{Stage: broker.Stage{ID: "s", Function: "f"}, Counts: broker.StageCounts{Busy: time.Minute}})
	l.add(broker.StageWork{Stage: broker.Stage{ID: "full"}, Counts: broker.StageCounts{Full: time.Minute}})
	s, log := loggingSession(0)
	s.reporter.log = l
	s.logWork(t.Context(), time.Now(), 0)
	if lines := taken(log); len(lines) != 1 || lines[0] != `msg=work stage=s function=f done=0 failed=0 rate=0` {
		t.Errorf("logged are %q", lines)
	}
}

// A stopping worker logs what it waits for, every 5 s until the call returns or the time has passed.
func TestDrainingIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, log := loggingSession(12 * time.Second)
		r := &route{stage: broker.Stage{ID: "stage", Function: "slow"}}
		for i := range 12 {
			h := &slot{session: s, now: runningCall{epoch: time.Now()}}
			s.slots.add(h)
			if i < 2 {
				h.now.begin(r, batch.Batch{Source: "s", First: int64(4 + i), N: 1}, nil, 1)
				<-time.After(time.Second)
			}
		}
		if s.awaitDrain(t.Context(), nil) {
			t.Error("the calls have not returned")
		}
		want := []string{
			`msg=draining worker=w running=2 calls="slow source s offset 4 for 2s; slow source s offset 5 for 1s"`,
			`msg=draining worker=w running=2 calls="slow source s offset 4 for 7s; slow source s offset 5 for 6s"`,
			`msg=draining worker=w running=2 calls="slow source s offset 4 for 12s; slow source s offset 5 for 11s"`,
		}
		if lines := taken(log); strings.Join(lines, "\n") != strings.Join(want, "\n") {
			t.Errorf("logged are %q", lines)
		}
		for i, h := range s.slots.list() {
			h.now.begin(r, batch.Batch{Source: "s", First: int64(i), N: 1}, nil, 1)
		}
		s.logDraining(t.Context())
		if text := log.String(); !strings.Contains(text, "running=12") || !strings.Contains(text, "; 2 more") {
			t.Errorf("many calls are %s", text)
		}
		taken(log)
		for _, h := range s.slots.list() {
			h.now.done()
		}
		drained := make(chan struct{})
		close(drained)
		if !s.awaitDrain(t.Context(), drained) || log.String() != "" {
			t.Errorf("without a call: %s", log)
		}
	})
}
