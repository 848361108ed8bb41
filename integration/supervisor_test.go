package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A notified is a socket of systemd and the states that it got.
type notified struct {
	conn *net.UnixConn
	path string
	mu   sync.Mutex
	got  []string
}

func listenAsSystemd(t *testing.T) *notified {
	t.Helper()
	n := &notified{path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if n.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		text := make([]byte, 4096)
		for {
			size, err := n.conn.Read(text)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.got = append(n.got, string(text[:size]))
			n.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		if err := n.conn.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return n
}

// count returns the number of states that begin with a text.
func (n *notified) count(state string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, got := range n.got {
		if strings.HasPrefix(got, state) {
			count++
		}
	}
	return count
}

// A worker tells systemd that it is ready, that it lives, at each heartbeat, also while Redis does
// not answer, and that it stops.
func TestWorkerTellsSystemd(t *testing.T) {
	t.Parallel()
	n, server := listenAsSystemd(t), testkit.StartRedis(t)
	told := file(t)
	start := func(watchdog string) *exec.Cmd {
		t.Helper()
		cmd := exec.Command("dqworker", "--redis", server.URL()+"/?ns="+testkit.Namespace(t), "--lease", "500ms")
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+n.path, "WATCHDOG_USEC="+watchdog)
		cmd.Stderr = told
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	if err := start("400000").Wait(); err == nil || n.count("READY=1") > 0 {
		t.Errorf("with a watchdog that bites before a heartbeat is due: %v", err)
	}
	cmd := start("1000000")
	testkit.Eventually(t, func() bool { return n.count("READY=1\nSTATUS=redis://") == 1 && n.count("WATCHDOG=1") >= 3 }, "it is ready, and it lives")
	server.Shutdown()
	before := n.count("WATCHDOG=1")
	testkit.Eventually(t, func() bool { return n.count("WATCHDOG=1") >= before+3 }, "it lives without Redis")
	server.Restart()
	if n.count("STOPPING=1") > 0 {
		t.Error("it stops too early")
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, func() bool { return n.count("STOPPING=1") == 1 }, "it stops")
}
