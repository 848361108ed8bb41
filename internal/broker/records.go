package broker

import (
	"maps"
	"sync"
)

// stageCache caches the parsed records of the last call of Stages, since each process of a fleet
// reads all stages from time to time.
type stageCache struct {
	mu   sync.Mutex
	last map[string]cachedStage
}

type cachedStage struct {
	record string
	stage  Stage
	good   bool
}

// retain removes all stages that are not in records.
func (r *stageCache) retain(records map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.last, func(id string, _ cachedStage) bool { return records[id] == "" })
}

// forget removes stages. It keeps existing ones that cannot be parsed, so that each is logged once.
func (r *stageCache) forget(ids []string, records map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		if r.last[id].good || records[id] == "" {
			delete(r.last, id)
		}
	}
}

// parse parses records and calls bad once for each record that it cannot parse.
func (r *stageCache) parse(records map[string]string, bad func(id string, s Stage, err error)) []Stage {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = make(map[string]cachedStage, len(records))
	}
	stages := make([]Stage, 0, len(records))
	for id, record := range records {
		got := r.last[id]
		if got.record != record {
			got = cachedStage{record: record}
			err := got.stage.parse(record)
			if got.good = err == nil; !got.good {
				bad(id, got.stage, err)
			}
			r.last[id] = got
		}
		if got.good {
			stages = append(stages, got.stage)
		}
	}
	return stages
}
