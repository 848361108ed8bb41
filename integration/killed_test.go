package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// All objects of a process are listed, so that another process deletes them after a kill at any
// moment: only the keys of named queues are left.
func TestKilledProcessesLeaveNoKeys(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = raw.Close() })
	ns := testkit.Namespace(t)
	prefix := "{" + ns + ":0}:"
	s := shell{t, server.URL() + "/?ns=" + ns}
	lives, err := executor.New(t.Context(), s.url, executor.Lease(time.Second), executor.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	keys := func() (lasting []string) {
		for _, key := range testkit.Keys(t, server.URL(), prefix+"*") {
			if key != prefix+"watcher" && raw.PTTL(t.Context(), key).Val() == -1 {
				lasting = append(lasting, key)
			}
		}
		return lasting
	}
	before := keys()
	fn := []string{"--fn", "upper=pipe:cat", "--fn", "slow=exec:sleep 0.05; cat", "--retries", "2"}
	for i := range 12 {
		s.kill(raw, [][]string{
			append([]string{"run", "upper", "upper"}, fn...),
			append([]string{"run", "slow", "upper", "--errors", "inline"}, fn...),
			{"gather", "q"},
			{"scatter", "q"},
		}[i%4])
	}
	// The dead are detected by their connections, or when their lease has expired.
	testkit.Eventually(t, func() bool {
		alive, err := raw.ZCard(t.Context(), prefix+"executors").Result()
		workers, failed := raw.ZCard(t.Context(), prefix+"workers").Result()
		return errors.Join(err, failed) == nil && alive+workers == 1
	}, "the killed processes are found")
	// Their queues are deleted after the grace period, which ends at once here.
	testkit.Eventually(t, func() bool {
		for mark, entry := range raw.HGetAll(t.Context(), prefix+"fenced").Val() {
			if _, rest, _ := strings.Cut(entry, " "); entry[0] != '-' {
				raw.HSet(t.Context(), prefix+"fenced", mark, fmt.Sprint(-time.Hour.Milliseconds(), " ", rest))
			}
		}
		return raw.Exists(t.Context(), prefix+"fenced").Val() == 0
	}, "the killed processes are buried")
	if err := lives.Delete(t.Context(), "q"); err != nil && !errors.Is(err, executor.ErrQueueNotFound) {
		t.Error(err)
	}
	testkit.Eventually(t, func() bool { return slices.Equal(keys(), before) }, "no key without a lifetime is left")
	if err := lives.Close(); err != nil {
		t.Error(err)
	}
	if left := keys(); len(left) > 0 {
		t.Errorf("keys are left: %v", left)
	}
}

// kill starts a command with an endless input and kills it at a random moment.
func (s shell) kill(raw *redis.Client, args []string) {
	s.t.Helper()
	in, feed, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer feed.Close()
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd, told := s.start("", out, in, args...)
	if err := in.Close(); err != nil {
		s.t.Fatal(err)
	}
	go func() { _, _ = io.Copy(feed, bytes.NewReader(lines(20_000))) }()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Duration(rand.IntN(800))*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Logf("%v has ended: %s", args, told)
	}
	_ = s.end(cmd)
}
