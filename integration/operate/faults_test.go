package operate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// numbers returns lines from 0 on.
func numbers(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintln(&all, i)
	}
	return all.String()
}

// hungCall is what D7 of the doctor says of a worker.
var hungCall = regexp.MustCompile(`D7 .*:(\d+): \d of 2 slots (?:runs one item|run one item each) for unusually long(?:: |; the longest is )stage out \(hang\), source hung, offset (\d+), for `)

// call returns the process ids of the worker and of the command that run an item, 0 if none has begun.
func (s site) call(offset string) (worker, command int) {
	s.t.Helper()
	text, err := os.ReadFile(s.path("call." + offset))
	if err != nil {
		return 0, 0
	}
	_, _ = fmt.Sscan(string(text), &worker, &command) // 0 while the file is written
	return worker, command
}

// cancelAll cancels the items whose commands hang.
func (s site) cancelAll() {
	s.t.Helper()
	names, err := filepath.Glob(s.path("call.*"))
	if err != nil {
		s.t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, name := range names {
		offset := strings.TrimPrefix(filepath.Ext(name), ".")
		if _, command := s.call(offset); command != 0 && lives(command) {
			all.Go(func() { s.ask("", "cancel", "--yes", "hung", offset) }) // it may have begun just now
		}
	}
	all.Wait()
}

// Six of sixty commands hang in three workers of two slots, and hold up another flow. The doctor
// names a call that hangs, and a cancel of it lets the other flow end.
func TestPlantedHangIsFoundAndCanceled(t *testing.T) {
	s := newSite(t)
	hang := fmt.Sprintf("hang=exec:case {} in *7) echo $PPID $$ >%s{}; exec sleep 100000;; esac; echo {}", s.path("call."))
	pids := map[int]bool{}
	for range 3 {
		pids[s.worker("--fn", hang, "--fn", "echo=exec:cat").Process.Pid] = true
	}
	s.do(numbers(60), "scatter", "--source", "hung", "--seal", "in")
	s.do("", "map", "hang", "in", "out")
	gather := s.start(nil, "dqbridge", "gather", "--errors", "inline", "out")
	s.do(numbers(40), "scatter", "--seal", "other")
	s.do("", "map", "echo", "other", "other-out")
	other := s.start(nil, "dqbridge", "gather", "other-out")

	var found []string
	testkit.Eventually(t, func() bool {
		out, _ := s.ask("", "doctor", "--only", "D7")
		found = hungCall.FindStringSubmatch(out)
		return found != nil
	}, "the doctor finds a call that hangs")
	named, _ := strconv.Atoi(found[1])
	worker, command := s.call(found[2])
	if !pids[named] || named != worker || !lives(command) {
		t.Errorf("the doctor names worker %d and offset %s, which worker %d runs as process %d", named, found[2], worker, command)
	}
	s.do("", "cancel", "--yes", "--reason", "it hangs", "hung", found[2])
	testkit.Eventually(t, func() bool { return !lives(command) }, "the command that was canceled ends")
	testkit.Eventually(t, func() bool {
		s.cancelAll()
		return gather.hasEnded() && other.hasEnded()
	}, "both flows end")
	if got := other.text(t); got != numbers(40) {
		t.Errorf("the other flow has given %q", got)
	}
	results := strings.Split(strings.TrimSpace(gather.text(t)), "\n")
	if len(results) != 60 {
		t.Fatalf("%d results: %q", len(results), results)
	}
	for i, got := range results {
		switch {
		case i%10 != 7 && got != strconv.Itoa(i), i%10 == 7 && !strings.Contains(got, "cancel"):
			t.Errorf("result %d is %q", i, got)
		}
		if _, command := s.call(strconv.Itoa(i)); command != 0 && lives(command) {
			t.Errorf("the command of item %d is left", i)
		}
	}
}

// A killed gather and a killed producer are named by all lists in which they were.
func TestPlantedDeathsAreNamed(t *testing.T) {
	s := newSite(t)
	s.worker()
	in, feed := s.pipe()
	producer := s.start(in, "dqbridge", "scatter", "--source", "lost", "q")
	if _, err := fmt.Fprint(feed, numbers(3)); err != nil {
		t.Fatal(err)
	}
	s.eventuallyShows("lost", "sources")
	s.do("", "map", "upper", "q", "out")
	silent, _ := s.pipe()
	gather := s.start(silent, "dqbridge", "gather", "--ack", "out")
	testkit.Eventually(t, func() bool { return gather.text(t) == numbers(3) }, "the gather writes the results")
	who := fmt.Sprintf(":%d", gather.Process.Pid)
	s.eventuallyShows(who, "gathers")
	gather.kill()
	producer.kill()
	s.eventuallyShows(who+" dead", "gathers")
	s.eventuallyShows(who+" dead", "queues")
	s.eventuallyShows("D11 consumers   queue out: its gather ", "doctor")
	s.eventuallyShows("source lost of queue q is away: its process died", "doctor", "--only", "D15")
	s.eventuallyShows("away", "sources")
	s.do(numbers(5), "scatter", "--source", "lost", "--seal", "q")
	if got := s.do("", "gather", "out"); got != numbers(5) {
		t.Errorf("the successors have given %q", got)
	}
}

// An item that kills its worker is a suspect after the second death, and every list says so. It ends
// once the cause is mended.
func TestPlantedPoisonIsSuspected(t *testing.T) {
	s := newSite(t)
	poison := fmt.Sprintf("poison=exec:[ -e %s ] || kill -9 $PPID; cat", s.path("mended"))
	s.do("bitter\n", "scatter", "--source", "cup", "--seal", "in")
	s.do("", "map", "poison", "in", "out")
	gather := s.start(nil, "dqbridge", "gather", "out") // and finds the deaths
	for range 2 {
		<-s.worker("--fn", poison).ended
	}
	s.eventuallyShows("queue in: two workers have died with each of 1 items", "doctor", "--only", "D12")
	s.eventuallyShows(`"suspects":1`, "queues", "--json", "--filter", "in")
	s.eventuallyShows("suspect", "where", "cup", "0")
	if err := os.WriteFile(s.path("mended"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.worker("--fn", poison)
	testkit.Eventually(t, gather.hasEnded, "the item ends")
	if got := gather.text(t); got != "bitter\n" {
		t.Errorf("the result is %q", got)
	}
}

// If the memory of Redis is full, the doctor fails, the scatter waits, and a gather makes room.
func TestPlantedFullMemoryIsFound(t *testing.T) {
	s := newSite(t, "--maxmemory", "32mb")
	in, feed := s.pipe()
	scatter := s.start(in, "dqbridge", "scatter", "--seal", "q")
	line := append(bytes.Repeat([]byte("x"), 1000), '\n')
	const n = 60_000
	fed := make(chan error, 1)
	go func() {
		_, err := feed.Write(bytes.Repeat(line, n))
		fed <- err
		_ = feed.Close()
	}()
	s.eventuallyShows("the memory of Redis is full: ", "doctor", "--only", "D4")
	if _, status := s.ask("", "doctor", "--only", "D4"); status != 1 {
		t.Errorf("the status of the doctor is %d", status)
	}
	if scatter.hasEnded() {
		t.Errorf("the scatter has ended: %s", scatter.log.String())
	}
	gather := s.start(nil, "dqbridge", "gather", "q")
	testkit.Eventually(t, func() bool { return gather.hasEnded() && scatter.hasEnded() }, "both end")
	if err := <-fed; err != nil {
		t.Error(err)
	}
	if got := strings.Count(gather.text(t), "\n"); got != n {
		t.Errorf("%d of %d lines", got, n)
	}
	s.eventuallyShows("ok ", "doctor", "--only", "D4")
}
