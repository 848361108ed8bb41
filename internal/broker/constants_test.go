package broker

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A figure is a constant of docs/protocol.json.
type figure struct {
	Name    string `json:"name"`
	Value   int64  `json:"value"`
	Unit    string `json:"unit"` // ms, ns, bytes or the things that are counted
	Meaning string `json:"meaning"`
	file    string // and
	code    string // name of the Go constant
}

// figures are the constants that another implementation of the protocol needs. Some bind all processes of a namespace.
// The others are choices of the Go code.
var figures = []figure{
	{"lease", 0, "ms", "default lease; all processes of a namespace use the same one", "connection.go", "defaultLease"},
	{"beats", 0, "heartbeats", "heartbeats in a lease", "lease.go", "Beats"},
	{"second_look", 0, "ms", "between the two looks that find a connection missing", "liveness.go", "confirmAfter"},
	{"fence_page", 0, "processes", "most that one census of the watcher declares dead", "lease.go", "maxFenced"},
	{"grace", 0, "ms", "watched time that the queues of a dead executor are kept", "cleanup.go", "grace"},
	{"many", 0, "crashes", "make an entry a suspect: argument many of complete.lua and reclaim.lua", "complete.go", "Suspicious"},
	{"max_crashes", 0, "crashes", "make an item a dead letter", "slots.go", "maxCrashes"},
	{"dead_letters", 0, "dead letters", "that are kept: argument most of complete.lua and nack.lua", "complete.go", "maxDead"},
	{"inline_bytes", 0, "bytes", "largest frame that stands in its entry; a larger one is a payload", "entry.go", "inlineMax"},
	{"payload_ttl", 0, "ms", "lifetime of a payload until a script commits it", "entry.go", "payloadTTL"},
	{"result_ttl", 0, "ms", "lifetime of the result of a future", "mailbox.go", "resultTTL"},
	{"max_item_bytes", 0, "bytes", "largest item; a larger one is a failure toolarge", "batch.go", "MaxItem"},
	{"max_batch_bytes", 0, "bytes", "at which a batch of results is closed", "batch.go", "MaxBytes"},
	{"max_batch_items", 0, "items", "most that a batch may have", "batch.go", "MaxItems"},
	{"scatter_batch_bytes", 0, "bytes", "at which a scatter closes a batch", "batcher.go", "batchBytes"},
	{"scatter_batch_items", 0, "items", "at which a scatter closes a batch", "batcher.go", "batchItems"},
	{"scatter_batch_cost", 0, "ms", "of work at the dearest stage to which a scatter cuts batches", "batcher.go", "target"},
	{"window", 0, "items", "default bound between scatter and gather, sent as its negative", "options.go", "defaultWindow"},
	{"window_bytes", 0, "bytes", "that a scatter has between itself and the gathers", "inflight.go", "inFlightBytes"},
	{"queue_bytes", 0, "bytes", "default maxb of a queue", "queue.go", "defaultBytes"},
	{"room_wait", 0, "ms", "until a scatter without room calls again without a hint", "sender.go", "lookAgain"},
	{"worker_wait", 0, "ms", "BLOCK of the read of a worker", "fetcher.go", "readWait"},
	{"worker_rest", 0, "ms", "longest BLOCK of a worker that waits for rings: worker_wait times workers / 50, up to that", "rings.go", "maxRest"},
	{"worker_busy_wait", 0, "ms", "until a worker without a free slot reads its mailbox", "fetcher.go", "busyWait"},
	{"worker_full_wait", 0, "ms", "until a route with a full out-queue is asked again without a hint", "fetcher.go", "fullWait"},
	{"worker_fail_pause", 0, "ms", "after a read of a worker that failed", "fetcher.go", "failPause"},
	{"worker_end_wait", 0, "ms", "from the hint that ends the blocked read of a worker to the end of its connection", "fetcher.go", "endWait"},
	{"worker_close", 0, "ms", "that a worker has at its end to write completions and to leave", "session.go", "closing"},
	{"time_slice", 0, "ms", "that a slot works on an entry until it returns the rest", "timeslice.go", "timeSlice"},
	{"complete_entries", 0, "entries", "most in a call of complete.lua", "completer.go", "completeEntries"},
	{"complete_parts", 0, "parts", "most outs, queues passed by and rests in a call of complete.lua", "completer.go", "completeParts"},
	{"complete_bytes", 0, "bytes", "most in the frames of a call of complete.lua", "completer.go", "completeBytes"},
	{"fused_stages", 0, "stages", "most that a worker runs one after the other", "fuse.go", "maxFused"},
	{"backoff", 0, "ms", "default pause before the second attempt", "completion.go", "firstPause"},
	{"backoffmax", 0, "ms", "default longest pause before an attempt", "completion.go", "longestPause"},
	{"retry_overdue", 0, "ms", "that a retry is late when other workers bring it back", "retry.go", "overdue"},
	{"due_page", 0, "entries", "count of requeue_due.lua", "delayed.go", "dueChunk"},
	{"reclaim_entries", 0, "entries", "count of reclaim.lua", "requeue.go", "reclaimEntries"},
	{"reclaim_queues", 0, "queues", "most in a call of reclaim.lua", "requeue.go", "reclaimQueues"},
	{"reclaim_names", 0, "names", "most times queues in a call of reclaim.lua", "requeue.go", "reclaimNames"},
	{"gather_wait", 0, "ms", "BLOCK of the read of a gather", "reader.go", "readWait"},
	{"gather_entries", 0, "entries", "most COUNT of the read of a gather, which begins with 16", "reader.go", "maxEntries"},
	{"gather_look", 0, "ms", "first time between two calls of watch.lua without a hint, which doubles", "sources.go", "refreshInterval"},
	{"gather_look_max", 0, "ms", "longest time between two calls of watch.lua", "sources.go", "maxRefreshInterval"},
	{"gather_held_bytes", 0, "bytes", "of frames that an ordered gather holds before it leaves payloads in Redis", "payload.go", "defaultMaxHeld"},
	{"watch_page", 0, "changes", "count of watch.lua", "gather.go", "watchPage"},
	{"watch_names", 0, "sources", "most names in a call of watch.lua, in turn", "sources.go", "refreshedUnchanged"},
	{"gaps_page", 0, "ranges", "LIMIT of a read of gaps:<source>", "gather.go", "gapsPage"},
	{"ack_entries", 0, "entries", "most in a call of ack.lua", "tracker.go", "ackEntries"},
	{"ack_sources", 0, "sources", "most in a call of ack.lua", "tracker.go", "ackSources"},
	{"ack_items", 0, "items", "most settled items in a call of ack.lua", "tracker.go", "ackSettled"},
	{"ack_pace", 0, "ms", "from one call of ack.lua to the next one, unless many entries wait", "committer.go", "ackDelay"},
	{"audit_pace", 0, "ms", "that an offset is missing until the first audit, and between two audits that agree", "audit.go", "auditInterval"},
	{"audit_pace_max", 0, "ms", "longest time between two audits", "audit.go", "maxAuditInterval"},
	{"audit_page", 0, "entries", "count of audit.lua and requeue_stray.lua", "audit.go", "auditPage"},
	{"audit_sources", 0, "sources", "most that one audit looks for", "audit.go", "auditSources"},
	{"executor_wait", 0, "ms", "BLOCK of the read of an executor's mailbox", "mailbox.go", "mailboxWait"},
	{"handover_page", 0, "entries", "count of requeue_foreign.lua and collect_requeued.lua", "handover.go", "handoverPage"},
	{"abandon_page", 0, "sources", "count of abandon_sources.lua", "cleanup.go", "abandonPage"},
	{"drop_page", 0, "entries", "count of drop_waiting.lua", "drop.go", "dropPage"},
	{"acts", 0, "acts", "MAXLEN of `acts`, about", "act.go", "maxActs"},
	{"pause_page", 0, "queues", "most in a call of pause.lua", "pause.go", "pausePage"},
	{"purge_page", 0, "entries or sources", "count of purge.lua and drop_sources.lua", "queue.go", "purgeChunk"},
	{"sweep_page", 0, "sources", "count of sweep.lua", "unstage.go", "sweepPage"},
	{"partitions", 0, "partitions", "most in a namespace", "partition.go", "MaxPartitions"},
}

// constantsOf returns the figures with the values of the Go constants, wherever in the module the file of that name is.
func constantsOf(t *testing.T) []figure {
	t.Helper()
	values := goConstants(t)
	all := make([]figure, len(figures))
	for i, f := range figures {
		found := values[f.file+" "+f.code]
		if len(found) != 1 {
			t.Fatalf("%d constants %s are in files %s", len(found), f.code, f.file)
		}
		f.Value = found[0]
		if f.Unit == "ms" {
			if f.Value%int64(time.Millisecond) != 0 {
				t.Fatalf("%s has %d ns: use another unit", f.Name, f.Value)
			}
			f.Value /= int64(time.Millisecond)
		}
		all[i] = f
	}
	return all
}

// goConstants returns the values of the constants of the module, as far as they are made of literals, operators and
// units of time, by the name of the file and their own.
func goConstants(t *testing.T) map[string][]int64 {
	t.Helper()
	values := map[string][]int64{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "bench/") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			group, ok := declared.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				one := spec.(*ast.ValueSpec)
				if len(one.Names) != 1 || len(one.Values) != 1 {
					continue
				}
				if n, exact := constant.Int64Val(constant.ToInt(evaluate(one.Values[0]))); exact {
					key := filepath.Base(path) + " " + one.Names[0].Name
					values[key] = append(values[key], n)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// evaluate returns the value of an expression, an unknown one if it has names other than units of time.
func evaluate(e ast.Expr) constant.Value {
	switch e := e.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.ParenExpr:
		return evaluate(e.X)
	case *ast.SelectorExpr:
		units := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute}
		if unit := units[e.Sel.Name]; unit > 0 {
			return constant.MakeInt64(int64(unit))
		}
	case *ast.BinaryExpr:
		x, y := evaluate(e.X), evaluate(e.Y)
		if x.Kind() != constant.Int || y.Kind() != constant.Int {
			break
		}
		if n, ok := constant.Uint64Val(y); ok && e.Op == token.SHL {
			return constant.Shift(x, e.Op, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return constant.MakeUnknown()
}
