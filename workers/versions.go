package workers

import (
	"context"
	"encoding/json"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// warnOfVersions warns of live workers that have a function of this one in another version.
func (l *life) warnOfVersions(ctx context.Context) {
	live, err := l.client.Processes(ctx, broker.RoleWorker, l.lease)
	if err != nil {
		l.log.DebugContext(ctx, "versions of functions are not compared", "err", err)
		return
	}
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
			l.log.WarnContext(ctx, "another worker has a function in another version: the results of both mix",
				"function", card.Name, "version", f.version, "theirs", card.Version, "host", p.Card["host"], "pid", p.Card["pid"])
		}
	}
}
