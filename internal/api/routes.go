package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/scale"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// A route is a path and what answers it: either view, from a view alone, or read, from Redis.
type route struct {
	path   string   // below Prefix
	about  string   // what it answers
	query  []string // its parameters
	answer any      // the zero value of what it answers
	view   func(h *handler, r *http.Request, v watch.View) (any, error)
	read   func(ctx context.Context, h *handler, r *http.Request, v watch.View) (any, error)
}

// listQuery are the parameters of the routes that answer a List.
var listQuery = []string{"filter", "sort", "limit", "after"}

// routes returns all routes but events.
func routes() []route {
	return append([]route{
		listing("flows", "the flows", watch.View.Flows,
			func(f inspect.Flow) string { return id(f.Partition, f.Name) }),
		{path: "flows/{name}", about: "a flow with its queues, stages, sources and gathers", answer: FlowAnswer{}, view: flow},
		listing("stages", "the stages", func(v watch.View) []inspect.Stage { return v.Snapshot.Stages },
			func(s inspect.Stage) string { return s.ID }),
		{path: "stages/{id}", about: "a stage with its failures, its calls and its past", query: []string{"range"}, answer: StageAnswer{}, read: stage},
		listing("queues", "the queues", func(v watch.View) []inspect.Queue { return v.Snapshot.Queues },
			func(q inspect.Queue) string { return id(q.Partition, q.Name) }),
		{path: "queues/{name}/items", about: "items of a queue, without taking them", query: []string{"from", "count"}, answer: inspect.Page{}, read: items},
		listing("sources", "the sources that are not delivered to their end", func(v watch.View) []inspect.Source { return v.Snapshot.Sources },
			func(s inspect.Source) string { return id(s.Partition, s.Name+" "+s.Queue) }),
		listing("gathers", "the gathers", func(v watch.View) []inspect.Gather { return v.Snapshot.Gathers },
			func(g inspect.Gather) string { return id(g.Partition, g.Queue) }),
		listing("workers", "the workers", func(v watch.View) []inspect.Worker { return v.Snapshot.Workers },
			func(w inspect.Worker) string { return w.ID }),
		{path: "workers/{id}", about: "a worker", answer: WorkerAnswer{}, view: worker},
		listing("functions", "the functions of the workers", func(v watch.View) []inspect.Function { return v.Snapshot.Functions },
			functionKey),
		listing("errors", "the failures of all stages, in groups", func(v watch.View) []inspect.ErrorGroup { return v.Errors },
			func(e inspect.ErrorGroup) string { return strings.Join([]string{e.Stage, e.Code, e.Message}, " ") }),
	}, moreRoutes()...)
}

func moreRoutes() []route {
	return []route{
		{path: "dead", about: "the dead letters, at most the 1,000 oldest ones", query: listQuery, answer: List[executor.DeadLetter]{}, read: dead},
		{path: "runs", about: "the last flows that have gone", query: listQuery, answer: List[inspect.EndedFlow]{}, read: ended},
		{path: "where", about: "where an item is", query: []string{"source", "offset"}, answer: List[inspect.Location]{}, read: where},
		listing("doctor", "what is wrong with the namespace and its Redis", watch.View.Findings,
			func(f doctor.Finding) string { return f.ID + " " + f.Text }),
		{path: "scale", about: "how many workers a pool should have", query: PoolQuery(), answer: scale.Decision{}, view: pool},
		{path: "redis", about: "the Redis server", answer: ServerAnswer{}, view: server},
	}
}

func listing[T any](path, about string, rows func(watch.View) []T, key func(T) string) route {
	return route{path: path, about: about, query: listQuery, answer: List[T]{}, view: func(_ *handler, r *http.Request, v watch.View) (any, error) {
		return list(r.URL.Query(), v.Snapshot.At, rows(v), key)
	}}
}

// functionKey returns a text that no other function has.
func functionKey(f inspect.Function) string {
	return strings.TrimSpace(strings.Join([]string{f.Name, f.In, f.InCodec, f.Out, f.OutCodec, f.Version}, " "))
}

// id returns the name of an object within a namespace.
func id(partition int, name string) string { return strconv.Itoa(partition) + " " + name }

// A FlowAnswer describes a flow.
type FlowAnswer struct {
	At      time.Time        `json:"at"`
	Flow    inspect.Flow     `json:"flow"`
	Queues  []inspect.Queue  `json:"queues"`
	Stages  []inspect.Stage  `json:"stages"`
	Sources []inspect.Source `json:"sources"`
	Gathers []inspect.Gather `json:"gathers"`
}

func flow(_ *handler, r *http.Request, v watch.View) (any, error) {
	name, s := r.PathValue("name"), v.Snapshot
	for _, f := range v.Flows() {
		if f.Name != name {
			continue
		}
		has := func(partition int, queue string) bool {
			return partition == f.Partition && slices.Contains(f.Queues, queue)
		}
		return FlowAnswer{
			At: s.At, Flow: f,
			Queues:  chosen(s.Queues, func(q inspect.Queue) bool { return has(q.Partition, q.Name) }),
			Stages:  chosen(s.Stages, func(t inspect.Stage) bool { return t.Partition == f.Partition && slices.Contains(f.Stages, t.ID) }),
			Sources: chosen(s.Sources, func(o inspect.Source) bool { return has(o.Partition, o.Queue) }),
			Gathers: chosen(s.Gathers, func(g inspect.Gather) bool { return has(g.Partition, g.Queue) }),
		}, nil
	}
	return nil, notFound(fmt.Sprintf("there is no flow %q", name), "GET "+Prefix+"flows lists the flows")
}

// chosen returns the rows for which a condition holds.
func chosen[T any](rows []T, is func(T) bool) []T {
	found := []T{}
	for _, row := range rows {
		if is(row) {
			found = append(found, row)
		}
	}
	return found
}

// A StageAnswer describes a stage.
type StageAnswer struct {
	At     time.Time            `json:"at"`
	Stage  inspect.Stage        `json:"stage"`
	Errors []inspect.ErrorGroup `json:"errors"`
	Calls  []inspect.Call       `json:"calls"`
	Past   []inspect.Work       `json:"past"` // of the range, the oldest first
}

func stage(ctx context.Context, h *handler, r *http.Request, v watch.View) (any, error) {
	name, length := r.PathValue("id"), cmp.Or(r.URL.Query().Get("range"), "5m")
	if length != "5m" && length != "1h" {
		return nil, badRequest(fmt.Sprintf("range=%q", length), "use 5m or 1h")
	}
	at := slices.IndexFunc(v.Snapshot.Stages, func(s inspect.Stage) bool { return s.ID == name })
	if at < 0 {
		return nil, notFound(fmt.Sprintf("there is no stage %q", name), "GET "+Prefix+"stages lists the stages")
	}
	history, err := h.inspector.History(ctx, name)
	if err != nil {
		return nil, err
	}
	past, since := history.Minutes, v.Snapshot.At.Add(-time.Hour)
	if length == "5m" {
		past, since = history.Seconds, v.Snapshot.At.Add(-5*time.Minute)
	}
	answer := StageAnswer{
		At: v.Snapshot.At, Stage: v.Snapshot.Stages[at], Calls: []inspect.Call{},
		Errors: chosen(v.Errors, func(e inspect.ErrorGroup) bool { return e.Stage == name }),
		Past:   chosen(past, func(w inspect.Work) bool { return w.Start.After(since) }),
	}
	for _, w := range v.Snapshot.Workers {
		answer.Calls = append(answer.Calls, chosen(w.Running, func(c inspect.Call) bool { return c.Stage == name })...)
	}
	return answer, nil
}

func items(ctx context.Context, h *handler, r *http.Request, _ watch.View) (any, error) {
	count, err := number(r.URL.Query(), "count", 20, 1, maxLimit)
	if err != nil {
		return nil, err
	}
	return h.inspector.Peek(ctx, r.PathValue("name"), r.URL.Query().Get("from"), count)
}

// A WorkerAnswer describes a worker.
type WorkerAnswer struct {
	At     time.Time      `json:"at"`
	Worker inspect.Worker `json:"worker"`
}

func worker(_ *handler, r *http.Request, v watch.View) (any, error) {
	for _, w := range v.Snapshot.Workers {
		if w.ID == r.PathValue("id") {
			return WorkerAnswer{v.Snapshot.At, w}, nil
		}
	}
	return nil, notFound(fmt.Sprintf("there is no worker %q", r.PathValue("id")), "GET "+Prefix+"workers lists the workers")
}

func dead(ctx context.Context, h *handler, r *http.Request, v watch.View) (any, error) {
	var letters []executor.DeadLetter
	for d, err := range h.inspector.DeadLetters(ctx) {
		if err != nil {
			return nil, err
		}
		if letters = append(letters, d); len(letters) == maxLimit {
			break
		}
	}
	return list(r.URL.Query(), v.Snapshot.At, letters, func(d executor.DeadLetter) string { return d.ID })
}

func ended(ctx context.Context, h *handler, r *http.Request, v watch.View) (any, error) {
	flows, err := h.inspector.EndedFlows(ctx)
	if err != nil {
		return nil, err
	}
	return list(r.URL.Query(), v.Snapshot.At, flows, func(f inspect.EndedFlow) string {
		return id(f.Partition, f.Stages[0].ID+" "+f.Ended.Format(time.RFC3339Nano))
	})
}

func where(ctx context.Context, h *handler, r *http.Request, v watch.View) (any, error) {
	query := r.URL.Query()
	offset, err := strconv.ParseInt(query.Get("offset"), 10, 64)
	if err != nil || offset < 0 || query.Get("source") == "" {
		return nil, badRequest(fmt.Sprintf("source=%q, offset=%q", query.Get("source"), query.Get("offset")), "give the name of a source, and a number from 0 on")
	}
	found, err := h.inspector.Where(ctx, query.Get("source"), offset)
	if err != nil {
		return nil, err
	}
	return List[inspect.Location]{At: v.Snapshot.At, Items: found, Total: len(found)}, nil
}

// A ServerAnswer describes the Redis server.
type ServerAnswer struct {
	At     time.Time       `json:"at"`
	Server *inspect.Server `json:"server,omitempty"` // nil if it cannot be read
	Why    string          `json:"why,omitempty"`    // it cannot be read
}

func server(_ *handler, _ *http.Request, v watch.View) (any, error) {
	if v.ServerErr != nil {
		return ServerAnswer{At: v.Snapshot.At, Why: v.ServerErr.Error()}, nil
	}
	return ServerAnswer{At: v.Snapshot.At, Server: &v.Server}, nil
}
