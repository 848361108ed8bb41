package workers

import (
	"context"
	"encoding/json"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// maxTold is how many versions of other workers a worker warns of.
const maxTold = 100

// A versionNote tells a worker that another one has a function of it in another version.
type versionNote struct {
	Function string `json:"function"`
	Version  string `json:"version"`
	Host     string `json:"host"`
	PID      string `json:"pid"`
}

// compareVersions warns of live workers that have a function of this one in another version, and tells one of them.
func (l *session) compareVersions(ctx context.Context) {
	live, err := l.client.Processes(ctx, broker.RoleWorker, l.lease)
	if err != nil {
		l.log.DebugContext(ctx, "versions of functions are not compared", "err", err)
		return
	}
	own := l.card()
	told := map[string]bool{}
	for _, p := range live {
		var cards []broker.FunctionCard
		if p.ID == l.id || json.Unmarshal([]byte(p.Card["functions"]), &cards) != nil {
			continue
		}
		for _, card := range cards {
			f, _ := l.function(card.Name)
			if f == nil || f.version == card.Version || told[card.Name] {
				continue
			}
			told[card.Name] = true
			l.warnOfVersion(ctx, versionNote{card.Name, card.Version, p.Card["host"], p.Card["pid"]})
			l.tellOfVersion(ctx, p.ID, versionNote{card.Name, f.version, own["host"], own["pid"]})
		}
	}
}

// tellOfVersion tells a worker of a version of this one.
func (l *session) tellOfVersion(ctx context.Context, worker string, note versionNote) {
	text, err := json.Marshal(note)
	if err == nil {
		err = l.client.SendHint(ctx, worker, broker.Hint{Kind: broker.HintVersion, What: string(text)})
	}
	if err != nil {
		l.log.DebugContext(ctx, "tell a worker of a version", "worker", worker, "err", err)
	}
}

// hearOfVersion warns of a version that a worker has told of when it joined: once of each.
func (l *session) hearOfVersion(ctx context.Context, text string) {
	var note versionNote
	if json.Unmarshal([]byte(text), &note) != nil {
		return
	}
	about := versionNote{Function: note.Function, Version: note.Version}
	if f, _ := l.function(note.Function); f == nil || f.version == note.Version || l.versions[about] || len(l.versions) >= maxTold {
		return
	}
	l.versions[about] = true
	l.warnOfVersion(ctx, note)
}

func (l *session) warnOfVersion(ctx context.Context, theirs versionNote) {
	f, _ := l.function(theirs.Function)
	if f == nil {
		return
	}
	l.log.WarnContext(ctx, "another worker has a function in another version: the results of both mix",
		"function", theirs.Function, "version", f.version, "theirs", theirs.Version, "host", theirs.Host, "pid", theirs.PID)
}
