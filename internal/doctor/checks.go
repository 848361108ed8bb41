package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// Limits of the checks.
const (
	slowRoundTrip  = 20 * time.Millisecond // of a PING
	memoryHeadroom = 0.2                   // part of maxmemory that should be free
	memoryOfCall   = 4 << 20               // bytes that a scatter needs at once: with less, Redis refuses it
	clientHeadroom = 0.1                   // part of maxclients that should be free
	longCall       = 5 * time.Second       // that an item may take in any stage
	unusual        = 20                    // times the time of 99 of 100 items
	slowReturn     = 15 * time.Second      // of a delayed batch, after it is due
	clockDrift     = 5 * time.Second       // between the clocks of this host and of Redis
	fullMailbox    = 1000                  // hints, of which further ones displace the oldest
	manyReads      = 300_000               // workers times stages at which their reads take a core of Redis
	busyRedis      = 0.9                   // part of the time of its main thread
	nearlyFull     = 0.9                   // part of the bound of a queue
)

var checks = []check{
	{id: "D1", name: "connection", well: "the server answers", needsServer: true, examine: connection},
	{id: "D2", name: "version", well: "the server is new enough", needsServer: true, examine: version},
	{id: "D3", name: "eviction", well: "the server drops no stored item", needsServer: true, examine: eviction},
	{id: "D4", name: "memory", well: "there is memory left", needsServer: true, examine: memory},
	{id: "D5", name: "persistence", well: "the server logs each write", needsServer: true, examine: persistence},
	{id: "D6", name: "rights", well: "the Redis users of docs/security.md have the rights of their roles", examine: rights},
	{id: "D7", name: "calls", well: "no call runs for unusually long", examine: calls},
	{id: "D8", name: "functions", well: "each stage has a worker", examine: functions},
	{id: "D9", name: "flows", well: "no flow is stuck", examine: flows},
	{id: "D10", name: "full", well: "no queue is full", examine: full},
	{id: "D11", name: "consumers", well: "no queue waits for a dead process", examine: consumers},
	{id: "D12", name: "crashes", well: "no item is suspected and there are no dead letters", examine: crashes},
	{id: "D13", name: "failures", well: "at most one item in twenty has failed in five minutes", examine: failures},
	{id: "D14", name: "delayed", well: "delayed items return in time", examine: overdue},
	{id: "D15", name: "sources", well: "no source waits for its process", examine: sources},
	{id: "D16", name: "leases", well: "all processes have the same lease", examine: leases},
	{id: "D17", name: "versions", well: "all workers have the same version", examine: versions},
	{id: "D18", name: "clocks", well: "this host and Redis have the same time", examine: clocks},
	{id: "D19", name: "payloads", well: "entries need all payload keys that have no lifetime", examine: payloads},
	{id: "D20", name: "mailboxes", well: "all workers read their hints", examine: mailboxes},
	{id: "D21", name: "clients", well: "there are connections left", needsServer: true, examine: clients},
	{id: "D22", name: "reads", well: "blocked reads cost little", examine: reads},
	{id: "D23", name: "reports", well: "all workers report their work", examine: reports},
	{id: "D24", name: "keys", well: "the keys of all queues can be read", examine: keys},
	{id: "D25", name: "processes", well: "all processes send heartbeats", examine: processes},
	{id: "D26", name: "load", well: "the main thread of Redis has time left", needsServer: true, examine: load},
}

func connection(f Facts, report reporter) {
	if f.Server.RoundTrip > slowRoundTrip {
		report(Warn, "", "bring the processes nearer to Redis: each batch takes a round trip",
			"a round trip takes %v", f.Server.RoundTrip.Round(time.Millisecond/10))
	}
}

func version(f Facts, report reporter) {
	numbers := strings.Split(f.Server.Version, ".")
	if len(numbers) < 2 {
		report(Warn, "", "use Redis 6.2 or later", "the server does not tell its version")
		return
	}
	major, errMajor := strconv.Atoi(numbers[0])
	minor, errMinor := strconv.Atoi(numbers[1])
	if errMajor == nil && errMinor == nil && (major < 6 || major == 6 && minor < 2) {
		report(Fail, "", "use Redis 6.2 or later", "the server has version %s", f.Server.Version)
	}
}

func eviction(f Facts, report reporter) {
	if f.Server.Policy == "noeviction" || f.Server.Policy == "" {
		return
	}
	level := Warn
	if f.Server.MaxMemory > 0 {
		level = Fail
	}
	report(level, "", "CONFIG SET maxmemory-policy noeviction", "the server drops stored items when its memory is full: its policy is %s", f.Server.Policy)
}

func memory(f Facts, report reporter) {
	used, most := f.Server.Memory, f.Server.MaxMemory
	largest := largest(f.Snapshot.Queues)
	switch {
	case most == 0:
	case most-used < memoryOfCall:
		report(Fail, "", "gather or delete queues, or raise maxmemory; workers and gathers go on, scatters wait",
			"the memory of Redis is full: %s of %s%s", Bytes(used), Bytes(most), largest)
	case float64(most-used) < memoryHeadroom*float64(most):
		report(Warn, "", "give queues a MaxSize or a MaxBytes, or raise maxmemory", "%s of %s of the memory of Redis are in use%s", Bytes(used), Bytes(most), largest)
	}
}

// largest returns the end of a sentence with the queue whose waiting items have most bytes, "" if none
// has items.
func largest(queues []inspect.Queue) string {
	var most inspect.Queue
	for _, q := range queues {
		if q.Bytes > most.Bytes {
			most = q
		}
	}
	if most.Bytes == 0 {
		return ""
	}
	return fmt.Sprintf("; the largest queue is %s with %s", most.Name, Bytes(most.Bytes))
}

// Bytes returns a number of bytes for people.
func Bytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

func persistence(f Facts, report reporter) {
	switch {
	case f.Server.AppendOnly:
	case f.Server.Replicas > 0:
		report(Warn, "", "set appendonly yes, or use executor.Replicas", "a restart of the server without its replicas loses what was written since the last snapshot")
	default:
		report(Warn, "", "set appendonly yes", "the server does not log writes and has no replica: a restart loses what was written since the last snapshot")
	}
	if !f.Server.Snapshots {
		report(Warn, "", "look at the log of the server", "the last snapshot of the server has failed")
	}
}

func functions(f Facts, report reporter) {
	wait := map[string]bool{}
	for _, q := range f.Snapshot.Queues {
		wait[q.Name] = q.Unread() > 0
	}
	for _, s := range f.Snapshot.Stages {
		level := Warn
		if slices.ContainsFunc(s.In, func(in string) bool { return wait[in] }) {
			level = Fail
		}
		switch {
		case s.Workers > 0 || s.Paused:
		case s.Untagged > 0:
			report(level, s.ID, "start a worker with the tags: dqworker --tags, or workers.Tags",
				"stage %s: none of %d workers with %s has the tags %s", s.ID, s.Untagged, function(s), strings.Join(s.Tags, ","))
		case s.Others > 0:
			report(level, s.ID, "give the workers the types of the stage, or make the stage again with --replace",
				"stage %s: %d workers have %s with other types", s.ID, s.Others, function(s))
		default:
			text, remedy := fmt.Sprintf("stage %s: no live worker has %s", s.ID, function(s)), "start a worker with it, or delete the queues of the stage"
			if other := f.Snapshot.NearestFunction(s.Function); other != "" {
				text += "; workers have " + other
				if command := s.ReplaceCommand(other); command != "" {
					remedy = command + ", or " + remedy
				}
			}
			report(level, s.ID, remedy, "%s", text)
		}
	}
}

// calls looks for functions that may hang: they run for much longer than 99 of 100 items did.
func calls(f Facts, report reporter) {
	stage := map[string]inspect.Stage{}
	for _, s := range f.Snapshot.Stages {
		stage[s.ID] = s
	}
	for _, w := range f.Snapshot.Workers {
		level := Warn
		var long []inspect.Call
		for _, c := range w.Running {
			took := f.Snapshot.At.Sub(c.Since)
			if took <= max(longCall, unusual*stage[c.Stage].P99) {
				continue
			}
			if stage[c.Stage].Hung(took) {
				level = Fail
			}
			long = append(long, c)
		}
		if len(long) > 0 {
			slices.SortFunc(long, func(a, b inspect.Call) int { return a.Since.Compare(b.Since) })
			first, how := long[0], "runs one item for unusually long:"
			if len(long) > 1 {
				how = "run one item each for unusually long; the longest is"
			}
			same := slices.DeleteFunc(slices.Clone(long), func(c inspect.Call) bool { return c.Stage != first.Stage })
			report(level, w.ID, stage[first.Stage].CancelRemedy(same...),
				"%s:%d: %d of %d slots %s stage %s (%s), source %s, offset %d, for %s",
				w.Host, w.PID, len(long), w.Concurrency, how, first.Stage, first.Function, first.Source, first.Offset, age(f.Snapshot.At, first.Since))
		}
	}
}

func failures(f Facts, report reporter) {
	for _, s := range f.Snapshot.Stages {
		switch lately, ever := s.FailsOften(); {
		case lately:
			report(Warn, s.ID, "dqbridge errors", "stage %s (%s): %d of %d items have failed in the last five minutes", s.ID, function(s), s.RecentFailed, s.RecentDone)
		case ever:
			report(Warn, s.ID, "dqbridge errors", "stage %s (%s): %d of all its %d items have failed", s.ID, function(s), s.Failed, s.Done)
		}
	}
}

func flows(f Facts, report reporter) {
	for _, flow := range f.Flows {
		wait := counted(flow.Waiting, "1 item waits", "%d items wait")
		switch since := age(f.Snapshot.At, flow.Oldest); {
		case flow.State == "stuck":
			report(Fail, flow.Name, flow.Remedy, "flow %s: %s, the oldest for %s: %s", flow.Name, wait, since, flow.Why)
		case flow.State == "paused":
			report(Warn, flow.Name, flow.Remedy, "flow %s: %s: %s", flow.Name, wait, flow.Why)
		case flow.State == "idle": // D15 reports the sources that are away
		case flow.Why != "" && flow.Oldest.IsZero():
			report(Warn, flow.Name, flow.Remedy, "flow %s: %s", flow.Name, flow.Why)
		case flow.Why != "":
			report(Warn, flow.Name, flow.Remedy, "flow %s: %s, the oldest for %s: %s", flow.Name, wait, since, flow.Why)
		}
	}
}

func full(f Facts, report reporter) {
	waits := map[string]int64{}
	for _, s := range f.Snapshot.Sources {
		if s.State == inspect.Full {
			waits[s.Queue]++
		}
	}
	for _, q := range f.Snapshot.Queues {
		state := "full"
		switch {
		case q.Full || waits[q.Name] > 0:
		case isNearly(q.Waiting, q.Max) || isNearly(q.Bytes, q.MaxBytes): // a full queue has room for a moment after each read
			state = "nearly full"
		default:
			continue
		}
		report(Warn, q.Name, "look at what reads it: dqbridge flows", "queue %s is %s: %d items of at most %d, %s of at most %s; %s",
			q.Name, state, q.Waiting, q.Max, Bytes(q.Bytes), Bytes(q.MaxBytes), counted(waits[q.Name], "1 source waits", "%d sources wait"))
	}
}

// isNearly reports whether a queue has nearly as much as its bound, which is 0 for none.
func isNearly(has, bound int64) bool { return bound > 0 && float64(has) >= nearlyFull*float64(bound) }

func consumers(f Facts, report reporter) {
	live := map[string]bool{}
	for _, p := range f.Snapshot.Executors {
		live[p.ID] = true
	}
	for _, q := range f.Snapshot.Queues {
		switch {
		case q.Gather != nil && q.Gather.State == inspect.Dead:
			report(Warn, q.Name, "gather it again: the next gather goes on behind the items that this one has acknowledged",
				"queue %s: its gather %s is dead", q.Name, process(q.Gather))
		case q.Owner != "" && !live[q.Owner]:
			report(Warn, q.Name, "nothing: it is deleted ten minutes after that", "queue %s: the process that it goes with is dead", q.Name)
		}
	}
}

func crashes(f Facts, report reporter) {
	for _, q := range f.Snapshot.Queues {
		if q.Suspects > 0 {
			report(Warn, q.Name, "look at the logs of the workers that died", "queue %s: two workers have died with each of %d items; after five such deaths an item is a dead letter", q.Name, q.Suspects)
		}
	}
	if n := f.Snapshot.Letters; n > 0 {
		report(Warn, "dead", "dqbridge dead list; mend the function or the item, then dqbridge dead retry ID, or dqbridge dead drop ID", "there %s", counted(n, "is 1 dead letter", "are %d dead letters"))
	}
}

func sources(f Facts, report reporter) {
	for _, s := range f.Snapshot.Sources {
		switch {
		case s.State == inspect.Away:
			report(Warn, s.Name, inspect.AwayRemedy, "source %s of queue %s is away: %s", s.Name, s.Queue, s.Why)
		case s.State == inspect.Open && s.By != nil && (s.By.State == inspect.Silent || s.By.State == inspect.Late):
			report(Warn, s.Name, "", "source %s of queue %s: %s has sent no heartbeat for %s", s.Name, s.Queue, process(s.By), age(f.Snapshot.At, s.By.Seen))
		}
	}
}

func processes(f Facts, report reporter) {
	all := slices.Clone(f.Snapshot.Executors)
	for _, w := range f.Snapshot.Workers {
		all = append(all, inspect.Process{ID: w.ID, Host: w.Host, PID: w.PID, State: w.State, Seen: w.Seen})
	}
	silent := 0
	for _, p := range all {
		switch p.State {
		case inspect.Silent:
			silent++
		case inspect.Late:
			report(Warn, p.ID, "", "%s has sent no heartbeat for %s", process(&p), age(f.Snapshot.At, p.Seen))
		}
	}
	if silent > 0 {
		report(Fail, "", "start a worker: the first process cleans up after the others", "no heartbeat came for a lease from %d of %d processes, and no live process has declared them dead", silent, len(all))
	}
}

func clients(f Facts, report reporter) {
	if most := f.Server.MaxClients; most > 0 && float64(most-f.Server.Clients) < clientHeadroom*float64(most) {
		report(Warn, "", "raise maxclients: a worker has two connections to a server, in a Cluster one more for each partition", "%d of %d connections are open", f.Server.Clients, most)
	}
}

func reads(f Facts, report reporter) {
	if n := f.Snapshot.AtQueues * len(f.Snapshot.Stages); n > manyReads/4 {
		report(Warn, "", "update these workers, and give their Redis user the rights of docs/security.md for ready queues, so that they wait for rings",
			"%d workers wait at the queues of %d stages: with %d of both a whole core of Redis is busy with blocked reads", f.Snapshot.AtQueues, len(f.Snapshot.Stages), manyReads)
	}
}

// load looks whether Redis limits all flows: its main thread runs every command.
func load(f Facts, report reporter) {
	switch redis := f.Snapshot.Redis; {
	case redis.Length == 0:
		report(Skipped, "", "", "how busy Redis is takes two looks")
	case redis.Busy >= busyRedis:
		on := ""
		if redis.Address != "" {
			on = ", on " + redis.Address
		}
		report(Warn, "", "use larger batches, fewer and larger workers, or a Redis Cluster with more partitions: more slots do not help",
			"Redis is the limit: its main thread works %.0f %% of its time%s", 100*redis.Busy, on)
	}
}

func keys(f Facts, report reporter) {
	for _, q := range f.Snapshot.Queues {
		if q.Broken != "" {
			report(Fail, q.Name, "delete the queue: dqbridge delete "+q.Name, "queue %s cannot be read: %s", q.Name, q.Broken)
		}
	}
}
