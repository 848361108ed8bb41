package integration

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// secured starts a server with the users of docs/security.md. It returns the address for each of
// them and an administrator's connection.
func secured(t *testing.T) (address func(user string) string, admin *redis.Client) {
	t.Helper()
	text, err := os.ReadFile(root + "/docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	server := testkit.StartRedis(t)
	setup := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer setup.Close()
	rules := regexp.MustCompile(`(?m)^ACL SETUSER .+$`).FindAllString(string(text), -1)
	if len(rules) != 6 {
		t.Fatalf("docs/security.md has %d rules", len(rules))
	}
	for _, rule := range append([]string{"ACL SETUSER admin on nopass ~* &* +@all"}, rules...) {
		if err := setup.Do(t.Context(), words(rule)...).Err(); err != nil {
			t.Fatalf("%s: %v", rule, err)
		}
	}
	admin = redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "admin", Password: "any"})
	t.Cleanup(func() { _ = admin.Close() })
	return func(user string) string { return "redis://dq-" + user + ":PASSWORD@" + server.Addr() }, admin
}

// words splits a command; a selector in parentheses is one word.
func words(line string) (args []any) {
	for _, word := range regexp.MustCompile(`\([^)]*\)|\S+`).FindAllString(line, -1) {
		args = append(args, word)
	}
	return args
}

func connected(t *testing.T, url string, opts ...executor.Option) *executor.Executor {
	t.Helper()
	ex, err := executor.New(t.Context(), url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return ex
}

// employ starts a worker; stop ends it.
func employ(t *testing.T, url string, opts ...workers.Option) (stop func()) {
	t.Helper()
	w, err := workers.New(url, opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A worker deletes a flow, as after the death of its owner, and an observer reads the record of the flow.
func TestRolesSufficeForEndedFlows(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	stop := employ(t, address("worker"), workers.Functions(inc))
	producer := connected(t, address("producer"))
	in, err := bridge.ScatterSeq(t.Context(), producer, slices.Values([]int{1, 2, 3}), bridge.Name("orders"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := executor.Map(t.Context(), inc, in, executor.Name("results")); err != nil {
		t.Fatal(err)
	}
	observer, err := executor.NewInspector(t.Context(), address("observer"))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		stages, err := observer.Stages(t.Context())
		return err == nil && stages[0].Done == 3
	}, "the worker has reported its items")
	deleter := connected(t, address("worker"))
	if err := errors.Join(deleter.Delete(t.Context(), "results"), deleter.Delete(t.Context(), "orders")); err != nil {
		t.Fatal(err)
	}
	ended, err := observer.EndedFlows(t.Context())
	if err := errors.Join(err, observer.Close()); err != nil || len(ended) != 1 || ended[0].Items != 3 || ended[0].Stages[0].Done != 3 || ended[0].Stages[0].P50 == 0 {
		t.Errorf("the flows that have gone are %+v, %v", ended, err)
	}
	stop()
	noDenials(t, admin, "config|get", "xread")
}

// A whole flow runs with each process under its own user.
func TestRolesSufficeForFlow(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	stop := employ(t, address("worker"), workers.Functions(inc))
	producer := connected(t, address("producer"))
	large := 1_000_000_000_000_000
	in, err := bridge.ScatterSeq(t.Context(), producer, func(yield func(int) bool) {
		for i := range 2000 {
			if !yield(large + i) {
				return
			}
		}
	}, bridge.Name("orders"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), inc, in)
	if err != nil {
		t.Fatal(err)
	}

	gatherer := connected(t, address("gatherer"))
	q, err := executor.Open[int](t.Context(), gatherer, out.Name())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for v, err := range bridge.All(t.Context(), q) {
		if n++; err != nil || v != large+n {
			t.Fatalf("result %d is %d, %v", n, v, err)
		}
	}
	if n != 2000 {
		t.Errorf("%d results", n)
	}

	observer, err := executor.NewInspector(t.Context(), address("observer"))
	if err != nil {
		t.Fatal(err)
	}
	queues, errQ := observer.Queues(t.Context())
	fleet, errW := observer.Workers(t.Context())
	stages, errS := observer.Stages(t.Context())
	_, errP := observer.Peek(t.Context(), "orders", "", 10)
	if err := errors.Join(errQ, errW, errS, errP, observer.Close()); err != nil || len(queues) != 2 || len(fleet) != 1 || len(stages) != 1 {
		t.Errorf("listed %d queues, %d workers, %d stages: %v", len(queues), len(fleet), len(stages), err)
	}

	operator := connected(t, address("operator"))
	for _, name := range []string{"orders", out.Name()} {
		if err := operator.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	stop()
	noDenials(t, admin, "config|get")
}

// noDenials checks that the server's ACL log contains only the expected refusals.
func noDenials(t *testing.T, admin *redis.Client, expected ...string) {
	t.Helper()
	log, err := admin.ACLLog(t.Context(), 100).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range log {
		if !slices.Contains(expected, entry.Object) {
			t.Errorf("refused: %s %s %s", entry.Username, entry.Context, entry.Object)
		}
	}
}

// A program performs all roles under one Executor.
func TestOperatorRoleSuffices(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	ex := connected(t, address("operator"))
	if err := ex.Register(inc); err != nil {
		t.Fatal(err)
	}
	futures, err := executor.MapSlice(t.Context(), ex, inc, []int{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	got, err := executor.GatherSlice(t.Context(), futures)
	if err != nil || !slices.Equal(got, []int{2, 3, 4}) {
		t.Errorf("got %v, %v", got, err)
	}
	noDenials(t, admin, "config|get")
}

// Each row is a command and the roles that may run it: producer, worker, gatherer, observer,
// operator.
var cells = []struct{ command, allowed string }{
	{"XADD {dq:0}:q:a * s 1", "pw--o"},
	{"XADD {dq:0}:r:a * s 1", "pw--o"},
	{"XREADGROUP GROUP w c STREAMS {dq:0}:q:a >", "-wg-o"},
	{"XREADGROUP GROUP w c STREAMS {dq:0}:r:a >", "-w--o"},
	{"XREADGROUP GROUP w c STREAMS {dq:0}:p:c {dq:0}:q:a > >", "-wg-o"},
	{"XACK {dq:0}:q:a w 1-1", "-wg-o"},
	{"XDEL {dq:0}:q:a 1-1", "-wg-o"},
	{"XRANGE {dq:0}:q:a - +", "pwgoo"},
	{"XTRIM {dq:0}:q:a MAXLEN 0", "----o"},
	{"DEL {dq:0}:q:a", "-w--o"},
	{"HSET {dq:0}:stages a {}", "p---o"},
	{"HGETALL {dq:0}:stages", "pwgoo"},
	{"HSET {dq:0}:m:a max 1", "pwg-o"},
	{"HGETALL {dq:0}:m:a", "pwgoo"},
	{"SET {dq:0}:f:a x", "pw--o"},
	{"MGET {dq:0}:f:a", "p---o"},
	{"GET {dq:0}:f:a", "-wgoo"},
	{"PTTL {dq:0}:f:a", "p---o"},
	{"XADD {dq:0}:dead * q a", "-w--o"},
	{"SMEMBERS {dq:0}:queues", "pwgoo"},
	{"EVALSHA 0 1 {dq:0}:q:a", "pwgoo"},
	{"HGETALL {other:0}:m:a", "-----"},
	{"XADD {other:0}:q:a * s 1", "-----"},
	{"EVALSHA 0 1 {other:0}:q:a", "-----"},
	{"GET anything", "-----"},
	{"COPY {dq:0}:f:a {other:0}:f:a", "-----"},
	{"KEYS *", "-----"},
	{"SCAN 0", "----o"},
	{"FLUSHALL", "-----"},
	{"FLUSHDB", "-----"},
	{"CONFIG GET maxmemory-policy", "-----"},
	{"CONFIG SET dir /tmp", "-----"},
	{"ACL LIST", "-----"},
	{"SCRIPT FLUSH", "-----"},
	{"DEBUG SLEEP 1", "-----"},
	{"MODULE LIST", "-----"},
	{"CLIENT ID", "pwg-o"},
	{"CLIENT LIST ID 1 2", "pwg-o"},
	{"CLIENT KILL ID 1", "-----"},
	{"CLIENT PAUSE 1000", "-----"},
	{"MONITOR", "-----"},
	{"SHUTDOWN", "-----"},
	{"REPLICAOF NO ONE", "-----"},
	{"MIGRATE h 1 {dq:0}:q:a 0 1", "-----"},
}

func TestRolesAreDeniedOtherCommands(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	for _, cell := range cells {
		for i, user := range []string{"producer", "worker", "gatherer", "observer", "operator"} {
			args := append([]any{"ACL", "DRYRUN", "dq-" + user}, words(cell.command)...)
			answer, err := admin.Do(t.Context(), args...).Text()
			if err != nil {
				t.Fatalf("%s: %v", cell.command, err)
			}
			if allowed, want := answer == "OK", cell.allowed[i] != '-'; allowed != want {
				t.Errorf("%s, %s: %s", user, cell.command, answer)
			}
		}
	}
	if len(cells) < 20 {
		t.Errorf("%d commands", len(cells))
	}
	// The same by logging in: a script has the rights of its caller only.
	for user, script := range map[string]string{
		"producer": "return redis.call('XDEL', '{dq:0}:q:a', '1-1')",
		"gatherer": "return redis.call('XADD', '{dq:0}:q:a', '*', 's', '1')",
		"worker":   "return redis.call('HSET', '{dq:0}:stages', 'a', '{}')",
		"observer": "return redis.call('HSET', '{dq:0}:m:a', 'max', '1')",
		"operator": "return redis.call('HGET', '{other:0}:m:a', 'max')",
	} {
		opt, err := redis.ParseURL(address(user))
		if err != nil {
			t.Fatal(err)
		}
		c := redis.NewClient(opt)
		err = c.Eval(t.Context(), script, []string{"{dq:0}:q:a"}).Err()
		if err == nil || !strings.Contains(err.Error(), "The user executing the script") {
			t.Errorf("%s ran %s: %v", user, script, err)
		}
		_ = c.Close()
	}
}

// The error for a missing permission comes at once and names the user and the command.
func TestMissingPermissionFailsAtOnce(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	told := func(what string, err error, user string) {
		t.Helper()
		if !errors.Is(err, executor.ErrDenied) || !strings.Contains(err.Error(), `user "dq-`+user+`"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := executor.New(t.Context(), address("observer"))
	told("an observer joined", err, "observer")

	gatherer, producer := connected(t, address("gatherer")), connected(t, address("producer"))
	inc := workers.Remote[int, int]("inc")
	in, err := bridge.ScatterSeq(t.Context(), producer, slices.Values([]int{1}), bridge.Name("orders"))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range bridge.All(t.Context(), in) {
		told("a producer gathered", err, "producer")
	}
	q, err := executor.Open[int](t.Context(), gatherer, "orders")
	if err != nil {
		t.Fatal(err)
	}
	_, err = executor.Map(t.Context(), inc, q)
	told("a gatherer made a stage", err, "gatherer")

	if err := admin.Do(t.Context(), "ACL", "SETUSER", "dq-worker", "-xreadgroup", "clearselectors").Err(); err != nil {
		t.Fatal(err)
	}
	w, err := workers.New(address("worker"))
	if err != nil {
		t.Fatal(err)
	}
	told("a worker without rights worked", w.Run(t.Context()), "worker")
}

// If the user of the watcher may not requeue the entries of dead processes, it leaves them alone,
// and a worker becomes the watcher.
func TestDeniedWatcherLeavesDeadToWorkers(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"producer", "gatherer"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			leaveTheDeadToWorkers(t, user)
		})
	}
}

func leaveTheDeadToWorkers(t *testing.T, user string) {
	t.Helper()
	address, admin := secured(t)
	const lease = 500 * time.Millisecond
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	operator := connected(t, address("operator"))
	in, err := bridge.ScatterSeq(t.Context(), operator, slices.Values([]int{41}), bridge.Name("orders"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := executor.Map(t.Context(), inc, in, executor.Name("results")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(operator.Flush(t.Context()), operator.Close()); err != nil {
		t.Fatal(err)
	}
	connected(t, address(user), executor.Lease(lease))
	const queue = "{dq:0}:q:orders"
	watcher := func() string { return admin.HGet(t.Context(), "{dq:0}:watcher", "id").Val() }
	testkit.Eventually(t, func() bool { return watcher() != "" }, "the "+user+" looks for the dead")
	err = admin.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "w", Consumer: "ghost", Streams: []string{queue, ">"}, Block: -1}).Err()
	if err := errors.Join(err, admin.HSet(t.Context(), "{dq:0}:fenced", "w:ghost", time.Now().UnixMilli()).Err()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return watcher() == "" }, "the "+user+" looks no more")
	held, err := admin.XPending(t.Context(), queue, "w").Result()
	back := admin.XLen(t.Context(), "{dq:0}:r:orders").Val()
	if err != nil || held.Consumers["ghost"] != 1 || back != 0 {
		t.Errorf("held are %v, and %d came back, %v", held, back, err)
	}
	stop := employ(t, address("worker"), workers.Functions(inc), workers.Lease(lease))
	q, err := executor.Open[int](t.Context(), connected(t, address("gatherer")), "results")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for v, err := range bridge.All(t.Context(), q) {
		if n++; err != nil || v != 42 {
			t.Errorf("got %d, %v", v, err)
		}
	}
	if n != 1 {
		t.Errorf("%d results", n)
	}
	stop()
}
