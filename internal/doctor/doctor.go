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
	ID    string `json:"id"`   // of the check, such as "D3"
	Name  string `json:"name"` // of the check, such as "eviction"
	Level Level  `json:"level"`
	// Subject is the queue, stage, flow, source, process, user or key that the finding is about, "" for the
	// server or the whole namespace.
	Subject string `json:"subject,omitempty"`
	Text    string `json:"text"`
	Remedy  string `json:"remedy"` // what to do, "" if nothing
}

// IsFault reports whether the finding needs attention.
func (f Finding) IsFault() bool { return f.Level == Warn || f.Level == Fail }

// InBoth returns the findings of a look in which only those faults are left that the look before has found
// too.
func InBoth(before, found []Finding) []Finding {
	faults := slices.DeleteFunc(slices.Clone(found), func(f Finding) bool {
		return !f.IsFault() || !slices.ContainsFunc(before, func(b Finding) bool { return b.IsFault() && b.ID == f.ID && b.Subject == f.Subject })
	})
	return Complete(faults, found)
}

// Complete returns faults in the order of their checks. Each other check of found is well, or was
// skipped.
func Complete(faults, found []Finding) (all []Finding) {
	for _, c := range checks {
		before := len(all)
		for _, f := range faults {
			if f.ID == c.id {
				all = append(all, f)
			}
		}
		for _, f := range found {
			switch {
			case f.ID != c.id || len(all) > before:
			case f.IsFault():
				all = append(all, Finding{ID: c.id, Name: c.name, Level: OK, Text: c.well})
			default:
				all = append(all, f)
			}
		}
	}
	return all
}

// Facts are the input of the checks.
type Facts struct {
	Snapshot inspect.Snapshot
	Flows    []inspect.Flow // nil: those of the snapshot
	Server   inspect.Server
	// ServerErr is why Server is not known, nil if it is.
	ServerErr error
	// Rights are nil if they were not read, see NeedsRights.
	Rights *Rights
	// Payloads are nil if they were not read, see NeedsPayloads.
	Payloads *Payloads
}

// A check examines one thing. It makes no report if that is well; Examine then reports its text well.
type check struct {
	id, name, well string
	needsServer    bool
	examine        func(f Facts, report reporter)
}

// A reporter takes a finding: its level, its subject, what to do and its text.
type reporter func(level Level, subject, remedy, format string, args ...any)

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
func NeedsRights(only ...string) bool { return needs("D6", only) }

// NeedsPayloads reports whether one of the checks with the given ids, or of all if there are none, looks
// at payload keys.
func NeedsPayloads(only ...string) bool { return needs("D19", only) }

// NeedsLoad reports whether one of the checks with the given ids, or of all if there are none, needs two
// looks to know how busy Redis is.
func NeedsLoad(only ...string) bool { return needs("D26", only) }

func needs(id string, only []string) bool { return len(only) == 0 || slices.Contains(only, id) }

// Examine runs the checks with the given ids, or all of them if there are none. It returns at least
// one finding for each.
func Examine(f Facts, only ...string) (found []Finding) {
	if f.Flows == nil {
		f.Flows = f.Snapshot.Flows()
	}
	for _, c := range checks {
		if len(only) > 0 && !slices.Contains(only, c.id) {
			continue
		}
		before := len(found)
		report := func(level Level, subject, remedy, format string, args ...any) {
			found = append(found, Finding{c.id, c.name, level, subject, fmt.Sprintf(format, args...), remedy})
		}
		switch {
		case c.needsServer && errors.Is(f.ServerErr, executor.ErrDenied):
			report(Skipped, "", "ACL SETUSER USER +info", "the Redis user may not call INFO")
		case c.needsServer && f.ServerErr != nil:
			report(Skipped, "", "", "%v", f.ServerErr)
		default:
			c.examine(f, report)
		}
		if len(found) == before {
			report(OK, "", "", "%s", c.well)
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

// counted returns the text for one, or the format for several with their number.
func counted(n int64, one, several string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(several, n)
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
