package limits_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// workerURL makes the test binary a worker, which notes its calls in the stream workerCalls of that Redis.
const (
	workerURL   = "DQBRIDGE_TEST_LIMITS_WORKER"
	workerCalls = "DQBRIDGE_TEST_LIMITS_CALLS"
	lease       = 500 * time.Millisecond
)

func TestMain(m *testing.M) {
	url := os.Getenv(workerURL)
	if url == "" {
		testkit.Main(m)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := work(ctx, url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func work(ctx context.Context, url string) error {
	options, err := redis.ParseURL(strings.Split(url, "/?")[0])
	if err != nil {
		return err
	}
	notes := redis.NewClient(options)
	defer notes.Close()
	note := func(what string, x int) error {
		return notes.XAdd(ctx, &redis.XAddArgs{Stream: os.Getenv(workerCalls), Values: []any{what, x}}).Err()
	}
	call := workers.Define("call", func(ctx context.Context, x int) (int, error) {
		if err := note("begin", x); err != nil {
			return 0, err
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
		return x, note("end", x)
	})
	w, err := workers.New(url, workers.Concurrency(4), workers.Functions(call), workers.Lease(lease))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// Three workers on a server keep the limits of a stage, also when one of them is killed with calls in hand.
func TestLimitsHoldWhenWorkerIsKilled(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]executor.MapOption{
		"places": {executor.MaxConcurrency(3)},
		"rate":   {executor.RateLimit(100, time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, ns := testkit.SharedRedis(t), testkit.Namespace(t)
			url, stream := server.URL()+"/?ns="+ns, "calls-"+ns
			raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
			t.Cleanup(func() { raw.Del(context.Background(), stream); _ = raw.Close() })
			var fleet []*exec.Cmd
			for range 3 {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env, cmd.Stderr = append(os.Environ(), workerURL+"="+url, workerCalls+"="+stream), os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = cmd.Wait() })
				fleet = append(fleet, cmd)
			}
			ex, err := executor.New(t.Context(), url, executor.Lease(lease))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = ex.Close() })
			const n = 150
			q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(upTo(n)))
			if err != nil {
				t.Fatal(err)
			}
			out, err := executor.Map(t.Context(), workers.Remote[int, int]("call"), q, opts...)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for x, err := range bridge.All(t.Context(), out) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, x); len(got) == n/3 {
					if err := fleet[0].Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if !slices.Equal(got, upTo(n)) {
				t.Errorf("the results are %v", got)
			}
			checkCalls(t, raw, stream, name)
		})
	}
}

// checkCalls compares the calls that workers noted with the limits. Redis gives the times. A call of the
// killed worker has no end: it is over when its item begins again.
func checkCalls(t *testing.T, raw *redis.Client, stream, limit string) {
	t.Helper()
	notes, err := raw.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	running, most := map[string]bool{}, 0
	var times []time.Duration
	for _, note := range notes {
		if x, ok := note.Values["begin"].(string); ok {
			ms, err := strconv.ParseInt(strings.Split(note.ID, "-")[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			times = append(times, time.Duration(ms)*time.Millisecond)
			running[x] = true
			most = max(most, len(running))
		} else if x, ok := note.Values["end"].(string); ok {
			delete(running, x)
		}
	}
	if limit == "places" && most > 3 {
		t.Errorf("%d calls ran at once", most)
	}
	// Half of a second more of calls would be a rate without a limit, however busy the machine is.
	if n := mostIn(times, time.Second); limit == "rate" && n > 150 {
		t.Errorf("%d calls began in a second", n)
	}
}
