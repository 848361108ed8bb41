package cli

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// A log has a line each 10 s, with the remaining time once the end of the input is known.
func TestProgressOfALogIsALineEachTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		results := make(chan []Result)
		input := &Input{}
		input.sent.Store(60)
		go func() {
			defer close(results)
			<-time.After(time.Second / 2)
			for i := range 35 {
				<-time.After(time.Second)
				results <- []Result{{Value: codec.Item("x")}}
				if i == 14 {
					input.ended.Store(true)
				}
			}
		}()
		p := Printer{
			Out: io.Discard, Console: NewConsole(&log), Name: "dqbridge", Errors: Skip, Records: &FunctionRecords{Single: true},
			Progress: &Progress{Every: LogPace, Input: input},
		}
		if err := p.Print(t.Context(), results); err != nil {
			t.Fatal(err)
		}
		want := "dqbridge: 9 done, 1/s, 51 in flight, 0 failed\n" +
			"dqbridge: 19 of 60 done, 1/s, 0 failed, ETA 43s\n" +
			"dqbridge: 29 of 60 done, 1/s, 0 failed, ETA 32s\n"
		if log.String() != want {
			t.Errorf("the log is %q, want %q", log.String(), want)
		}
	})
}

// A scatter logs what it has taken until all is stored, and nothing without -v.
func TestProgressOfAScatter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		stored := make(chan struct{})
		time.AfterFunc(25*time.Second, func() { close(stored) })
		began := time.Now()
		count := func() int64 { return int64(time.Since(began).Seconds()) }
		(&Progress{Every: LogPace}).Log(NewConsole(&log), "dqbridge", count, stored)
		if want := "dqbridge: 10 done, 1/s\ndqbridge: 20 done, 1/s\n"; log.String() != want {
			t.Errorf("the log is %q, want %q", log.String(), want)
		}
		log.Reset()
		var none *Progress
		none.Log(NewConsole(&log), "dqbridge", count, stored)
		if log.Len() > 0 {
			t.Errorf("without -v it is %q", log.String())
		}
	})
}
