package broker

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The scripts. Each one documents its keys, arguments and reply in its header.
var (
	//go:embed lua/abandon.lua
	abandonLua string
	//go:embed lua/abandon_sources.lua
	abandonSourcesLua string
	//go:embed lua/ack.lua
	ackLua string
	//go:embed lua/adopt.lua
	adoptLua string
	//go:embed lua/assign.lua
	assignLua string
	//go:embed lua/audit.lua
	auditLua string
	//go:embed lua/backlog.lua
	backlogLua string
	//go:embed lua/cleaned.lua
	cleanedLua string
	//go:embed lua/collect_requeued.lua
	collectRequeuedLua string
	//go:embed lua/complete.lua
	completeLua string
	//go:embed lua/consume.lua
	consumeLua string
	//go:embed lua/declare.lua
	declareLua string
	//go:embed lua/delete_dead_letter.lua
	deleteDeadLetterLua string
	//go:embed lua/discard.lua
	discardLua string
	//go:embed lua/drop_sources.lua
	dropSourcesLua string
	//go:embed lua/drop_waiting.lua
	dropWaitingLua string
	//go:embed lua/fence.lua
	fenceLua string
	//go:embed lua/finish.lua
	finishLua string
	//go:embed lua/heartbeat.lua
	heartbeatLua string
	//go:embed lua/join.lua
	joinLua string
	//go:embed lua/leave.lua
	leaveLua string
	//go:embed lua/lib.lua
	libLua string
	//go:embed lua/limit_batches.lua
	limitBatchesLua string
	//go:embed lua/look.lua
	lookLua string
	//go:embed lua/mark_deleting.lua
	markDeletingLua string
	//go:embed lua/nack.lua
	nackLua string
	//go:embed lua/partitions.lua
	partitionsLua string
	//go:embed lua/pause.lua
	pauseLua string
	//go:embed lua/pause_stage.lua
	pauseStageLua string
	//go:embed lua/purge.lua
	purgeLua string
	//go:embed lua/reclaim.lua
	reclaimLua string
	//go:embed lua/release.lua
	releaseLua string
	//go:embed lua/report.lua
	reportLua string
	//go:embed lua/requeue_due.lua
	requeueDueLua string
	//go:embed lua/requeue_foreign.lua
	requeueForeignLua string
	//go:embed lua/requeue_stray.lua
	requeueStrayLua string
	//go:embed lua/scatter.lua
	scatterLua string
	//go:embed lua/seal.lua
	sealLua string
	//go:embed lua/source.lua
	sourceLua string
	//go:embed lua/stage.lua
	stageLua string
	//go:embed lua/standby.lua
	standbyLua string
	//go:embed lua/sweep.lua
	sweepLua string
	//go:embed lua/take.lua
	takeLua string
	//go:embed lua/unassign.lua
	unassignLua string
	//go:embed lua/unstage.lua
	unstageLua string
	//go:embed lua/watch.lua
	watchLua string
)

var scripts = struct {
	abandon, abandonSources, ack, adopt, assign, audit, backlog, cleaned, collectRequeued, complete, consume, declare, deleteDeadLetter, discard, dropSources, dropWaiting, fence, finish, heartbeat, join, leave, limitBatches, look, markDeleting, nack, partitions, pause, pauseStage, purge, reclaim, release, report, requeueDue, requeueForeign, requeueStray, scatter, seal, source, stage, standby, sweep, take, unassign, unstage, watch *redis.Script
}{
	abandon:          script(abandonLua),
	abandonSources:   script(abandonSourcesLua),
	ack:              script(ackLua),
	adopt:            script(adoptLua),
	assign:           script(assignLua),
	audit:            script(auditLua),
	backlog:          script(backlogLua),
	cleaned:          script(cleanedLua),
	collectRequeued:  script(collectRequeuedLua),
	complete:         script(completeLua),
	consume:          script(consumeLua),
	declare:          script(declareLua),
	deleteDeadLetter: script(deleteDeadLetterLua),
	discard:          script(discardLua),
	dropSources:      script(dropSourcesLua),
	dropWaiting:      script(dropWaitingLua),
	fence:            script(fenceLua),
	finish:           script(finishLua),
	heartbeat:        script(heartbeatLua),
	join:             script(joinLua),
	leave:            script(leaveLua),
	limitBatches:     script(limitBatchesLua),
	look:             script(lookLua),
	markDeleting:     script(markDeletingLua),
	nack:             script(nackLua),
	partitions:       script(partitionsLua),
	pause:            script(pauseLua),
	pauseStage:       script(pauseStageLua),
	purge:            script(purgeLua),
	reclaim:          script(reclaimLua),
	release:          script(releaseLua),
	report:           script(reportLua),
	requeueDue:       script(requeueDueLua),
	requeueForeign:   script(requeueForeignLua),
	requeueStray:     script(requeueStrayLua),
	scatter:          script(scatterLua),
	seal:             script(sealLua),
	source:           script(sourceLua),
	stage:            script(stageLua),
	standby:          script(standbyLua),
	sweep:            script(sweepLua),
	take:             script(takeLua),
	unassign:         script(unassignLua),
	unstage:          script(unstageLua),
	watch:            script(watchLua),
}

func script(body string) *redis.Script { return redis.NewScript(withLib(body)) }

// function matches the first line of a function of lib.lua. The file consists of paragraphs, each a
// comment and a function, which may call the functions above it.
var function = regexp.MustCompile(`(?m)^local function (\w+)`)

// withLib prepends to a script the functions of lib.lua that it needs. It leaves out the others,
// since each call of a script creates all its functions again.
func withLib(body string) string {
	for _, paragraph := range slices.Backward(strings.Split(strings.TrimSpace(libLua), "\n\n")) {
		name := function.FindStringSubmatch(paragraph)
		if name != nil && strings.Contains(body, name[1]+"(") {
			body = paragraph + "\n\n" + body
		}
	}
	return body
}

// run runs a script until ctx ends, see try. The script must be safe to repeat after a lost reply.
func (c *Client) run(ctx context.Context, what string, s *redis.Script, keys []string, args ...any) (reply any, err error) {
	err = c.try(ctx, what, func(ctx context.Context) error {
		reply, err = s.Run(ctx, c.rdb, keys, args...).Result()
		return err
	})
	return reply, err
}

// once is a command that must not be sent again after a lost reply. Without it, the Cluster client
// of go-redis would repeat the command.
type once struct{ *redis.Cmd }

// NoRetry tells go-redis not to repeat the command.
func (once) NoRetry() bool { return true }

// onlyOnce runs scripts that must not be repeated after a lost reply.
type onlyOnce struct{ redis.UniversalClient }

func (c onlyOnce) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return c.send(ctx, "eval", script, keys, args)
}

func (c onlyOnce) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return c.send(ctx, "evalsha", sha1, keys, args)
}

func (c onlyOnce) send(ctx context.Context, verb, script string, keys []string, args []any) *redis.Cmd {
	all := append(make([]any, 0, 3+len(keys)+len(args)), verb, script, len(keys))
	for _, key := range keys {
		all = append(all, key)
	}
	cmd := redis.NewCmd(ctx, append(all, args...)...)
	_ = c.Process(ctx, once{cmd}) // the command has the error
	return cmd
}

// A payload is a large frame in a key of its own. It is written before the script that refers to
// it, in the same round trip.
type payload struct {
	key   string
	frame []byte
}

// runWith stores payloads with a lifetime and runs a script, in one round trip. The script removes
// the lifetime when it commits.
func (c *Client) runWith(ctx context.Context, what string, s *redis.Script, payloads []payload, keys []string, args ...any) (reply any, err error) {
	err = c.try(ctx, what, func(ctx context.Context) error {
		reply, err = c.sendWith(ctx, s, payloads, keys, args...)
		return err
	})
	return reply, err
}

// sendWith is runWith without retries.
func (c *Client) sendWith(ctx context.Context, s *redis.Script, payloads []payload, keys []string, args ...any) (any, error) {
	if len(payloads) == 0 {
		return s.Run(ctx, c.rdb, keys, args...).Result()
	}
	pipe := c.rdb.Pipeline()
	for _, p := range payloads {
		// NX: if the first reply was lost, the payload may be committed already, and SET would give
		// it a lifetime again.
		pipe.SetNX(ctx, p.key, p.frame, payloadTTL)
	}
	evaluated := s.EvalSha(ctx, pipe, keys, args...)
	_, err := pipe.Exec(ctx)
	if evaluated.Err() != nil && hasCode(evaluated.Err(), "NOSCRIPT") {
		evaluated = s.Eval(ctx, c.rdb, keys, args...)
		err = evaluated.Err()
	}
	return evaluated.Val(), err
}

// A list is a reply of a script. Its methods return zero values for missing elements: the scripts
// belong to this package, so a wrong form is a bug here or an incompatible server.

type list []any

func asList(v any) list {
	l, _ := v.([]any)
	return l
}

func (l list) text(i int) string {
	if i >= len(l) {
		return ""
	}
	switch v := l[i].(type) {
	case string:
		return v
	case int64:
		return fmt.Sprint(v)
	}
	return ""
}

func (l list) number(i int) int64 {
	if i >= len(l) {
		return 0
	}
	switch v := l[i].(type) {
	case int64:
		return v
	case string:
		return parseInt(v)
	}
	return 0
}

func (l list) list(i int) list {
	if i >= len(l) {
		return nil
	}
	return asList(l[i])
}

// fields reads a flat list of names and values.
func (l list) fields() map[string]string {
	m := make(map[string]string, len(l)/2)
	for i := 0; i+1 < len(l); i += 2 {
		m[strings.Clone(l.text(i))] = l.text(i + 1)
	}
	return m
}
