// Package doctor examines a namespace: it finds faults, says since when they last, and proposes
// remedies. It decides from a snapshot and from the state of the server, and only reads.
package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
)

// A Level says how urgent a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warn    Level = "warn"    // it may become a failure, or costs something
	Fail    Level = "fail"    // items do not move, or get lost
	Skipped Level = "skipped" // it could not be examined
)

// A Finding is the result of one check. A check may have several.
type Finding struct {
	ID     string `json:"id"`   // of the check, such as "D3"
	Name   string `json:"name"` // of the check, such as "eviction"
	Level  Level  `json:"level"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"` // what to do, "" if nothing
}

// Facts are the input of the checks.
type Facts struct {
	Snapshot inspect.Snapshot
	Server   inspect.Server
	// ServerErr is why Server is not known, nil if it is.
	ServerErr error
	// Rights are nil if they were not read, see NeedsRights.
	Rights *Rights
}

// A check examines one thing. It makes no report if that is well; Examine then reports its text well.
type check struct {
	id, name, well string
	needsServer    bool
	examine        func(f Facts, report reporter)
}

// A reporter takes a finding: its level, its text and what to do.
type reporter func(level Level, remedy, format string, args ...any)

// Checks returns the ids of all checks, in their order.
func Checks() (ids []string) {
	for _, c := range checks {
		ids = append(ids, c.id)
	}
	return ids
}

// NeedsServer reports whether one of the checks with the given ids, or of all if there are none, looks
// at the server.
func NeedsServer(only ...string) bool {
	return slices.ContainsFunc(checks, func(c check) bool {
		return c.needsServer && (len(only) == 0 || slices.Contains(only, c.id))
	})
}

// NeedsRights reports whether one of the checks with the given ids, or of all if there are none, looks
// at the rights of Redis users.
func NeedsRights(only ...string) bool { return len(only) == 0 || slices.Contains(only, "D6") }

// Examine runs the checks with the given ids, or all of them if there are none. It returns at least
// one finding for each.
func Examine(f Facts, only ...string) (found []Finding) {
	for _, c := range checks {
		if len(only) > 0 && !slices.Contains(only, c.id) {
			continue
		}
		before := len(found)
		report := func(level Level, remedy, format string, args ...any) {
			found = append(found, Finding{c.id, c.name, level, fmt.Sprintf(format, args...), remedy})
		}
		switch {
		case c.needsServer && errors.Is(f.ServerErr, executor.ErrDenied):
			report(Skipped, "ACL SETUSER USER +info", "the Redis user may not call INFO")
		case c.needsServer && f.ServerErr != nil:
			report(Skipped, "", "%v", f.ServerErr)
		default:
			c.examine(f, report)
		}
		if len(found) == before {
			report(OK, "", "%s", c.well)
		}
	}
	return found
}

// Worst returns the most urgent level of findings.
func Worst(found []Finding) Level {
	order := map[Level]int{Skipped: 0, OK: 1, Warn: 2, Fail: 3}
	worst := OK
	for _, f := range found {
		if order[f.Level] > order[worst] {
			worst = f.Level
		}
	}
	return worst
}

// process returns host and process id of a process.
func process(p *inspect.Process) string {
	if p.Host == "" {
		return "process " + p.ID
	}
	return fmt.Sprintf("%s:%d", p.Host, p.PID)
}

// age returns the time since then, rounded for people; "" if then is zero.
func age(now, then time.Time) string {
	if then.IsZero() {
		return ""
	}
	return now.Sub(then).Round(time.Second).String()
}

// function returns the name of a stage for people.
func function(s inspect.Stage) string { return cmp.Or(s.Function, s.Kind) }
