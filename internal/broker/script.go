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
	//go:embed lua/delete_flow.lua
	deleteFlowLua string
	//go:embed lua/discard.lua
	discardLua string
	//go:embed lua/drop_sources.lua
	dropSourcesLua string
	//go:embed lua/drop_waiting.lua
	dropWaitingLua string
	//go:embed lua/expire.lua
	expireLua string
	//go:embed lua/fence.lua
	fenceLua string
	//go:embed lua/finish.lua
	finishLua string
	//go:embed lua/forget_rings.lua
	forgetRingsLua string
	//go:embed lua/heartbeat.lua
	heartbeatLua string
	//go:embed lua/hint.lua
	hintLua string
	//go:embed lua/insert.lua
	insertLua string
	//go:embed lua/join.lua
	joinLua string
	//go:embed lua/join_class.lua
	joinClassLua string
	//go:embed lua/leave.lua
	leaveLua string
	//go:embed lua/lib.lua
	libLua string
	//go:embed lua/lib_limits.lua
	libLimitsLua string
	//go:embed lua/lib_rings.lua
	libRingsLua string
	//go:embed lua/limit_batches.lua
	limitBatchesLua string
	//go:embed lua/look.lua
	lookLua string
	//go:embed lua/mark_deleting.lua
	markDeletingLua string
	//go:embed lua/mark_unread.lua
	markUnreadLua string
	//go:embed lua/nack.lua
	nackLua string
	//go:embed lua/partitions.lua
	partitionsLua string
	//go:embed lua/pause.lua
	pauseLua string
	//go:embed lua/pause_stage.lua
	pauseStageLua string
	//go:embed lua/payloads.lua
	payloadsLua string
	//go:embed lua/purge.lua
	purgeLua string
	//go:embed lua/ready.lua
	readyLua string
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
	//go:embed lua/ring.lua
	ringLua string
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
	abandon, abandonSources, ack, adopt, assign, audit, backlog, cleaned, collectRequeued, complete, consume, declare, deleteDeadLetter, deleteFlow, discard, dropSources, dropWaiting, expire, fence, finish, forgetRings, heartbeat, hint, insert, join, joinClass, leave, limitBatches, look, markDeleting, markUnread, nack, partitions, pause, pauseStage, payloads, purge, ready, reclaim, release, report, requeueDue, requeueForeign, requeueStray, ring, scatter, seal, source, stage, standby, sweep, take, unassign, unstage, watch *redis.Script
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
	deleteFlow:       script(deleteFlowLua),
	discard:          script(discardLua),
	dropSources:      script(dropSourcesLua),
	dropWaiting:      script(dropWaitingLua),
	expire:           script(expireLua),
	fence:            script(fenceLua),
	finish:           script(finishLua),
	forgetRings:      script(forgetRingsLua),
	heartbeat:        script(heartbeatLua),
	hint:             script(hintLua),
	insert:           script(insertLua),
	join:             script(joinLua),
	joinClass:        script(joinClassLua),
	leave:            script(leaveLua),
	limitBatches:     script(limitBatchesLua),
	look:             script(lookLua),
	markDeleting:     script(markDeletingLua),
	markUnread:       script(markUnreadLua),
	nack:             script(nackLua),
	partitions:       script(partitionsLua),
	pause:            script(pauseLua),
	pauseStage:       script(pauseStageLua),
	payloads:         script(payloadsLua),
	purge:            script(purgeLua),
	ready:            script(readyLua),
	reclaim:          script(reclaimLua),
	release:          script(releaseLua),
	report:           script(reportLua),
	requeueDue:       script(requeueDueLua),
	requeueForeign:   script(requeueForeignLua),
	requeueStray:     script(requeueStrayLua),
	ring:             script(ringLua),
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

// function matches the first line of a function of lib.lua, or of lib_limits.lua and lib_rings.lua behind
// it. The files consist of paragraphs, each a comment and a function, which may call the functions above it.
var function = regexp.MustCompile(`(?m)^local function (\w+)`)

// withLib prepends to a script the functions of these files that it needs. It leaves out the others,
// since each call of a script creates all its functions again.
func withLib(body string) string {
	for _, paragraph := range slices.Backward(strings.Split(libraries(), "\n\n")) {
		name := function.FindStringSubmatch(paragraph)
		if name != nil && strings.Contains(body, name[1]+"(") {
			body = paragraph + "\n\n" + body
		}
	}
	return body
}

// libraries returns the functions of the library files.
func libraries() string {
	return strings.TrimSpace(libLua) + "\n\n" + strings.TrimSpace(libLimitsLua) + "\n\n" + strings.TrimSpace(libRingsLua)
}

// run runs a script until ctx ends, see try. The script must be safe to repeat after a lost reply.
func (c *Client) run(ctx context.Context, what string, s *redis.Script, keys []string, args ...any) (reply any, err error) {
	err = c.try(ctx, what, func(ctx context.Context) error {
		reply, err = s.Run(ctx, c.rdb, keys, args...).Result()
		return err
	})
	return reply, err
}

// A scriptCall is one call of a script.
type scriptCall struct {
	script *redis.Script
	keys   []string
	args   []any
}

// runInOrder runs scripts one after the other in one round trip, until ctx ends, see try. Each must be
// safe to repeat, also after the ones behind it. It returns their replies, or the error of the first one
// that has failed; those behind that one have run too.
func (c *Client) runInOrder(ctx context.Context, what string, calls ...scriptCall) (replies []any, err error) {
	if len(calls) == 1 {
		reply, err := c.run(ctx, what, calls[0].script, calls[0].keys, calls[0].args...)
		return []any{reply}, err
	}
	err = c.try(ctx, what, func(ctx context.Context) error {
		replies, err = c.sendInOrder(ctx, calls)
		return err
	})
	return replies, err
}

func (c *Client) sendInOrder(ctx context.Context, calls []scriptCall) (replies []any, err error) {
	pipe := c.rdb.Pipeline()
	sent := make([]*redis.Cmd, len(calls))
	for i, call := range calls {
		sent[i] = call.script.EvalSha(ctx, pipe, call.keys, call.args...)
	}
	_, _ = pipe.Exec(ctx) // each command keeps its own error
	unknown := false      // Redis does not know a script: it and those behind it are sent again
	for i, call := range calls {
		if unknown = unknown || hasCode(sent[i].Err(), "NOSCRIPT"); unknown {
			sent[i] = call.script.Run(ctx, c.rdb, call.keys, call.args...)
		}
		if err := sent[i].Err(); err != nil {
			return nil, err
		}
		replies = append(replies, sent[i].Val())
	}
	return replies, nil
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

// sendWith stores payloads with a lifetime and runs a script, in one round trip. The script removes
// the lifetime of those that it commits, and deletes those for which a payload before them is missing.
// refused is the error with which Redis refused the first of the refused payloads.
func (c *Client) sendWith(ctx context.Context, s *redis.Script, payloads []payload, keys []string, args ...any) (reply any, refused, err error) {
	if len(payloads) == 0 {
		ran := s.Run(ctx, c.rdb, keys, args...)
		return ran.Val(), nil, ran.Err()
	}
	pipe := c.rdb.Pipeline()
	stored := make([]*redis.BoolCmd, len(payloads))
	for i, p := range payloads {
		// NX: if the first reply was lost, the payload may be committed already, and SET would give
		// it a lifetime again.
		stored[i] = pipe.SetNX(ctx, p.key, p.frame, payloadTTL)
	}
	evaluated := s.EvalSha(ctx, pipe, keys, args...)
	_, _ = pipe.Exec(ctx) // each command keeps its own error
	for _, set := range stored {
		if refused = set.Err(); refused != nil {
			break
		}
	}
	if hasCode(evaluated.Err(), "NOSCRIPT") {
		evaluated = s.Eval(ctx, c.rdb, keys, args...)
	}
	return evaluated.Val(), refused, evaluated.Err()
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
