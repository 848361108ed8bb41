package worker

import (
	"context"
	"encoding/json"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// maxTold limits the versions of other workers that a worker warns of.
const maxTold = 100

// A versionNote tells a worker that another one has a function of it in another version.
type versionNote struct {
	Function string `json:"function"`
	Version  string `json:"version"`
	Host     string `json:"host"`
	PID      string `json:"pid"`
}

// compareVersions warns of live workers that have a function of this one in another version, and tells one of them.
func (s *session) compareVersions(ctx context.Context) {
	live, err := s.client.Processes(ctx, broker.RoleWorker, s.lease)
	if err != nil {
		s.log.DebugContext(ctx, "versions of functions are not compared", "err", err)
		return
	}
	own := s.worker.card()
	told := map[string]bool{}
	for _, p := range live {
		var cards []broker.FunctionCard
		if p.ID == s.id || json.Unmarshal([]byte(p.Card["functions"]), &cards) != nil {
			continue
		}
		for _, card := range cards {
			f, _, _ := s.worker.function(card.Name)
			if f == nil || f.Version == card.Version || told[card.Name] {
				continue
			}
			told[card.Name] = true
			s.versions[versionNote{Function: card.Name, Version: card.Version}] = true
			s.warnOfVersion(ctx, versionNote{card.Name, card.Version, p.Card["host"], p.Card["pid"]})
			s.tellOfVersion(ctx, p.ID, versionNote{card.Name, f.Version, own["host"], own["pid"]})
		}
	}
}

// tellOfVersion tells a worker of a version of this one.
func (s *session) tellOfVersion(ctx context.Context, worker string, note versionNote) {
	text, err := json.Marshal(note)
	if err == nil {
		err = s.client.SendHint(ctx, worker, broker.Hint{Kind: broker.HintVersion, What: string(text)})
	}
	if err != nil {
		s.log.DebugContext(ctx, "tell a worker of a version", "worker", worker, "err", err)
	}
}

// hearOfVersion warns of a version that another worker has reported, unless this worker has warned of it.
func (s *session) hearOfVersion(ctx context.Context, text string) {
	var note versionNote
	if json.Unmarshal([]byte(text), &note) != nil {
		return
	}
	about := versionNote{Function: note.Function, Version: note.Version}
	if own, _, _ := s.worker.function(note.Function); own == nil || own.Version == note.Version || s.versions[about] || len(s.versions) >= maxTold {
		return
	}
	s.versions[about] = true
	s.warnOfVersion(ctx, note)
}

func (s *session) warnOfVersion(ctx context.Context, theirs versionNote) {
	f, _, _ := s.worker.function(theirs.Function)
	if f == nil {
		return
	}
	s.log.WarnContext(ctx, "another worker has a function in another version: the results of both mix",
		"function", theirs.Function, "version", f.Version, "theirs", theirs.Version, "host", theirs.Host, "pid", theirs.PID)
}
