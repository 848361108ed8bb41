package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// maxFindings is the number of findings of the banner.
const maxFindings = 3

// banner returns the state of the server, and the most urgent findings of the doctor.
func banner(v watch.View, found []doctor.Finding, place string, now time.Time) []string {
	name := strings.TrimSpace("dqbridge top  " + clean(place))
	switch {
	case v.At.IsZero() && v.Err != nil:
		return []string{name, badStyle.Render("redis cannot be read: " + clean(v.Err.Error()))}
	case v.At.IsZero():
		return []string{name, "reads the namespace"}
	}
	first := name + "  " + v.At.Format(time.TimeOnly) + "  " + server(v)
	if v.Err != nil {
		first = badStyle.Render(fmt.Sprintf("REDIS AWAY since %s, for %v: this is the last state: %s",
			v.At.Format(time.TimeOnly), cli.Since(now, v.At), clean(v.Err.Error())))
	}
	return append([]string{first}, findings(found)...)
}

// server describes the server and the fleet in a few words.
func server(v watch.View) string {
	live, slots := 0, 0
	for _, w := range v.Snapshot.Workers {
		if w.State == inspect.Live {
			live, slots = live+1, slots+w.Concurrency
		}
	}
	text := fmt.Sprintf("workers %d, slots %d", live, slots)
	if v.ServerErr != nil { // such as a user that may not call INFO
		return "redis " + goodStyle.Render("live") + "  " + text
	}
	s := v.Server
	memory := doctor.Bytes(s.Memory)
	if s.MaxMemory > 0 {
		memory += " of " + doctor.Bytes(s.MaxMemory)
	}
	return fmt.Sprintf("redis %s %s, %s, %v  %s", clean(s.Version), goodStyle.Render("live"), memory, s.RoundTrip.Round(10*time.Microsecond), text)
}

// findings returns a line for each of the most urgent findings.
func findings(found []doctor.Finding) []string {
	if len(found) == 0 {
		return []string{goodStyle.Render("ok") + "    the doctor has found nothing"}
	}
	var lines []string
	for _, f := range found[:min(len(found), maxFindings)] {
		lines = append(lines, fmt.Sprintf("%s  %-3s %s", styleOf(string(f.Level)).Render(string(f.Level)), f.ID, advice(f)))
	}
	return lines
}

// advice returns the text of a finding, and what to do.
func advice(f doctor.Finding) string {
	if f.Remedy == "" {
		return clean(f.Text)
	}
	return clean(f.Text) + " -> " + clean(f.Remedy)
}

// advices returns all findings that need attention, whole.
func advices(found []doctor.Finding, width int) (lines []string) {
	for _, f := range found {
		lines = append(lines, styleOf(string(f.Level)).Render(string(f.Level))+" "+headStyle.Render(f.ID+" "+f.Name))
		for _, line := range wrap(advice(f), width-len(blank)) {
			lines = append(lines, blank+line)
		}
	}
	if len(lines) == 0 {
		return []string{"the doctor has found nothing"}
	}
	return lines
}
