package inspect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/nearest"
)

// ReplaceCommand returns the command that makes a stage again with a function and further flags, with its tags.
// It is "" for a stage that no command makes as it is: one that copies, that reads or fills several queues, or
// that has limits.
func (s Stage) ReplaceCommand(function string, flags ...string) string {
	if s.Function == "" || len(s.In) != 1 || len(s.Out) != 1 || s.Limits != "" {
		return ""
	}
	words := append([]string{"dqbridge map --replace"}, flags...)
	if len(s.Tags) > 0 {
		words = append(words, "--tags "+strings.Join(s.Tags, ","))
	}
	return strings.Join(append(words, function, s.In[0], s.Out[0]), " ")
}

// namedCalls is the most calls that a remedy names.
const namedCalls = 5

// CancelRemedy returns how to bound the time of further calls of the stage, and then how to end some
// that run. It names at most five of them.
func (s Stage) CancelRemedy(calls ...Call) string {
	timeout := max(stillFor, (slowCall * s.P99).Round(time.Second))
	how := "executor.Timeout"
	if command := s.ReplaceCommand(s.Function, "--timeout "+brief(timeout)); command != "" {
		how = command + ", or executor.Timeout"
	}
	text := "give the stage a timeout: " + how + "; then cancel what runs"
	for i, c := range calls {
		if i == namedCalls {
			return text + fmt.Sprintf("; and %d more, see dqbridge workers --json", len(calls)-i)
		}
		text += fmt.Sprintf("%c dqbridge cancel %s %d", ":;"[min(i, 1)], c.Source, c.Offset)
	}
	return text
}

// brief returns a time of whole seconds without units that are zero.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}

// NearestFunction returns the function of live workers of which the name of another function is probably a
// misspelling, at most two edits away; "" if there is none, or if a live worker has that function.
func (s Snapshot) NearestFunction(name string) string {
	var names []string
	for _, w := range s.Workers {
		if w.State != Silent {
			names = append(names, w.Functions...)
		}
	}
	return nearest.Typo(name, names)
}

// IsStuck reports whether the program of a gather has taken no result for more than ten seconds, for
// nearly all of which the gather has waited for it.
func (g Gather) IsStuck(at time.Time) bool {
	return g.State == Reader && g.Reader >= untaken && !g.Since.IsZero() && at.Sub(g.Since) >= longWait
}

// standing returns a gather with results whose program takes none, nil if there is none.
func (f *flow) standing() *Gather {
	i := slices.IndexFunc(f.gathers, func(g *Gather) bool { return g.IsStuck(f.at) && f.unread(g.Queue)+g.Held > 0 })
	if i < 0 {
		return nil
	}
	return f.gathers[i]
}

// untakenResults tells that the program of a gather takes no results.
func (f *flow) untakenResults(g *Gather) string {
	return fmt.Sprintf("the program that gathers %s takes no results: it has taken none for %s, with %d items in the memory of the gather and %d in the queue",
		g.Queue, f.at.Sub(g.Since).Round(time.Second), g.Held, f.unread(g.Queue))
}

// lookAtReader is the remedy for a program that takes no results.
const lookAtReader = "look at what that program does"

// away returns why a flow without items gets none: all sources that have not ended are away. It is the
// state "idle" without a reason otherwise.
func (f *flow) away() finding {
	var first *Source
	for _, s := range f.sources {
		switch {
		case s.State == Away && (first == nil || s.Name < first.Name):
			first = s
		case s.isFed():
			return finding{state: "idle"}
		}
	}
	if first == nil {
		return finding{state: "idle"}
	}
	return finding{"idle", fmt.Sprintf("source %s is away: %s", first.Name, first.Why), AwayRemedy, first.Queue}
}

// AwayRemedy is what to do about a source that is away.
const AwayRemedy = "start its program again, which goes on behind the stored items"
