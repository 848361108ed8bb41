package operate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// listed returns the rows of a list.
func listed[T any](s site, verb string) (rows []T) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.do("", verb, "--json")), &rows); err != nil {
		s.t.Fatal(err)
	}
	return rows
}

// The functions of the flows. One item of ten fails at each attempt, and one of a source hangs.
const (
	slowly  = "slowly=exec:sleep 0.05; echo {}"
	failing = "failing=exec:case {} in *3) exit 1;; esac; echo {}"
	hanging = "hanging=exec:case {} in 5) exec sleep 100000;; esac; echo {}"
)

// A ledger has the items that went into a queue and came out of it, as the programs at both ends know them.
type ledger struct{ added, gathered int64 }

// At rest, each list of a fleet that has flows of every kind adds up: an item that came to a queue is in
// one of its columns, or went to the queue behind its stage, or was delivered. The counts of the
// stages are those of the gathered results.
func TestPlantedNumbersAddUp(t *testing.T) {
	s := newSite(t)
	n, deaths := 200, 2
	if *long {
		n, deaths = 2000, 5 // as many as make a dead letter
	}
	for range 3 {
		s.start(nil, "dqworker", "--concurrency", "4", "--fn", slowly, "--fn", failing, "--fn", hanging)
	}
	books := map[string]ledger{}
	gathers := map[string]*process{}
	for _, f := range []struct {
		queue     string
		items     int
		functions []string
		gathered  bool
	}{
		{"fast", n, []string{"upper"}, true},
		{"slow", n, []string{"upper", "slowly", "upper"}, true},
		{"failing", n, []string{"failing"}, true},
		{"hanging", 30, []string{"hanging"}, false},
		{"unheld", n, []string{"upper", "nobody"}, false},
	} {
		s.do(numbers(f.items), "scatter", "--seal", f.queue)
		last := f.queue
		for i, function := range f.functions {
			out := fmt.Sprint(f.queue, "-", i+1)
			s.do("", "map", "--retries", "2", function, last, out)
			last = out
		}
		books[f.queue] = ledger{added: int64(f.items)}
		if f.gathered {
			gathers[f.queue] = s.start(nil, "dqbridge", "gather", "--errors", "inline", last)
			books[last] = ledger{gathered: int64(f.items)}
		}
	}
	in, feed := s.pipe()
	s.start(in, "dqbridge", "scatter", "--max", "40", "full")
	if _, err := feed.WriteString(numbers(100)); err != nil { // which stay open
		t.Fatal(err)
	}
	for _, gather := range gathers {
		<-gather.ended
	}
	s.counted(gathers)
	s.poison(deaths) // last: a worker that is killed takes the counts since its last report with it
	s.addUp(books, deaths)
}

// poison makes a flow of one item with which workers die, so many of them.
func (s site) poison(deaths int) {
	s.t.Helper()
	s.do("bitter\n", "scatter", "--seal", "poison")
	s.do("", "map", "poison", "poison", "poison-1")
	for range deaths {
		<-s.worker("--fn", "poison=exec:kill -9 $PPID").ended
	}
	if deaths > 2 {
		s.worker("--fn", "poison=exec:cat") // which makes the letter
	}
}

// addUp compares the columns of the queues with each other until they are at rest, and with the books.
func (s site) addUp(books map[string]ledger, deaths int) {
	s.t.Helper()
	var wrong []string
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("%q\n%s", wrong, s.do("", "queues", "--wide"))
		}
	})
	testkit.Eventually(s.t, func() bool {
		wrong = nil
		queues, stages := listed[inspect.Queue](s, "queues"), listed[inspect.Stage](s, "stages")
		for _, q := range queues {
			if b := books[q.Name]; b.added > 0 && q.Added != b.added {
				wrong = append(wrong, fmt.Sprintf("%s: %d items came, not %d", q.Name, q.Added, b.added))
			}
			out := books[q.Name].gathered
			if i := slices.IndexFunc(stages, func(st inspect.Stage) bool { return slices.Contains(st.In, q.Name) }); i >= 0 {
				next := queues[slices.IndexFunc(queues, func(o inspect.Queue) bool { return o.Name == stages[i].Out[0] })]
				out = next.Added + next.Fused
			}
			if left := q.Unread() + q.Running; q.Added+q.Fused != left+out {
				wrong = append(wrong, fmt.Sprintf("%s: %d items came and %d are left, %d went on", q.Name, q.Added+q.Fused, left, out))
			}
		}
		for _, want := range []struct {
			queue string
			in    func(q inspect.Queue) bool
		}{
			{"hanging", func(q inspect.Queue) bool { return q.Running > 0 && q.Unread() == 0 }},
			{"unheld-1", func(q inspect.Queue) bool { return q.Waiting == q.Added && q.Waiting == books["unheld"].added }},
			{"full", func(q inspect.Queue) bool { return q.Full && q.Waiting == 40 && q.Added == 40 }},
			{"poison", func(q inspect.Queue) bool { return q.Suspects == 1 || deaths > 2 && q.Suspects == 0 }},
			{"poison-1", func(q inspect.Queue) bool { return deaths == 2 || q.Waiting == 1 }},
		} {
			i := slices.IndexFunc(queues, func(q inspect.Queue) bool { return q.Name == want.queue })
			if i < 0 || !want.in(queues[i]) {
				wrong = append(wrong, fmt.Sprintf("%s: %+v", want.queue, queues[max(i, 0)]))
			}
		}
		return wrong == nil
	}, "the columns add up")
}

// counted compares the counts of the stages with the results of the gathers, and their retries with
// those that were asked for.
func (s site) counted(gathers map[string]*process) {
	s.t.Helper()
	for name, gather := range gathers {
		lines := strings.Split(strings.TrimSpace(gather.text(s.t)), "\n")
		failed := int64(0)
		for i, line := range lines {
			if line != fmt.Sprint(i) {
				failed++
			}
		}
		if name != "failing" && failed > 0 || name == "failing" && failed != int64(len(lines)/10) {
			s.t.Errorf("%s: %d of %d results are no items", name, failed, len(lines))
		}
		for _, st := range listed[inspect.Stage](s, "stages") {
			if !strings.HasPrefix(st.ID, name+"-") {
				continue
			}
			testkit.Eventually(s.t, func() bool { // the last report comes with a heartbeat
				all := listed[inspect.Stage](s, "stages")
				st = all[slices.IndexFunc(all, func(other inspect.Stage) bool { return other.ID == st.ID })]
				return st.Done >= int64(len(lines))
			}, "stage "+st.ID+" has reported its items")
			if st.Done != int64(len(lines)) || st.Failed != failed || st.Retried != 2*failed || st.Lost != 0 {
				s.t.Errorf("stage %s counts %d items, %d failed, %d retried and %d lost; %d results, %d failed", st.ID, st.Done, st.Failed, st.Retried, st.Lost, len(lines), failed)
			}
		}
	}
}
