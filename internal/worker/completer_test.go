package worker

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// However many completions fail one by one, they are repeated together, once in each pause.
func TestFailedCompletionsAreRepeatedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{repeat: make(chan struct{}, 1), log: slog.New(slog.DiscardHandler)}
		r := &route{}
		fail := func(d completion) {
			s.repeatLater(t.Context(), []completion{d}, errors.New("refused"))
			<-time.After(time.Millisecond)
		}
		for range 20 {
			fail(completion{route: r, endsJob: true})
		}
		for pause := range 5 {
			rings := 0
			for end := time.After(repeatPause); end != nil; {
				select {
				case <-s.repeat:
					rings++
					again := s.takeFailed()
					if len(again) != 20 || again[0].endsJob || !again[0].failed {
						t.Fatalf("%d completions are repeated: %+v", len(again), again[0])
					}
					for _, d := range again {
						fail(d)
					}
				case <-end:
					end = nil
				}
			}
			if rings != 1 {
				t.Errorf("pause %d: repeated %d times", pause, rings)
			}
		}
		if n := r.failing.Load(); n != 20 {
			t.Errorf("%d completions are counted", n)
		}
		<-time.After(2 * repeatPause)
	})
}
