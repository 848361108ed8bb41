package testkit

import (
	"bufio"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const orphanMaker = "TESTKIT_ORPHAN_MAKER"

func TestMain(m *testing.M) {
	if os.Getenv(orphanMaker) != "" {
		leaveAnOrphan()
	}
	Main(m)
}

// leaveAnOrphan runs as a test binary that starts a server and is killed.
func leaveAnOrphan() {
	s, err := launch("", nil)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(s.Addr() + " " + s.dir + "\n")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	os.Exit(2)
}

func dial(t *testing.T, url string) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opt.MaxRetries = -1
	client := redis.NewClient(opt)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func refuses(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return true
	}
	_ = conn.Close()
	return false
}

func TestRestartKeepsPortAndLosesData(t *testing.T) {
	t.Parallel()
	s := StartRedis(t)
	client := dial(t, s.URL())
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	addr, pid := s.Addr(), s.Pid()
	s.Kill()
	if !refuses(addr) {
		t.Fatal("a killed server takes connections")
	}
	s.Restart()
	if s.Addr() != addr || s.Pid() == pid {
		t.Fatalf("restarted on %s as process %d, was %s and %d", s.Addr(), s.Pid(), addr, pid)
	}
	if got, err := dial(t, s.URL()).Get(t.Context(), "k").Result(); !errors.Is(err, redis.Nil) {
		t.Fatalf("got %q, %v after the restart of a server that keeps nothing", got, err)
	}
}

func TestArgumentsOverrideSettings(t *testing.T) {
	t.Parallel()
	s := StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	if err := dial(t, s.URL()).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if got, err := dial(t, s.URL()).Get(t.Context(), "k").Result(); got != "v" {
		t.Fatalf("got %q, %v from a server that appends every write", got, err)
	}
}

func TestServerWithPasswordStarts(t *testing.T) {
	t.Parallel()
	s := StartRedis(t, "--requirepass", "secret")
	client := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: "secret"})
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestStoppedServerContinues(t *testing.T) {
	t.Parallel()
	s := StartRedis(t)
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Stop()
	if err := conn.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 5)
	if err := ping(conn, reply); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a stopped server answered %q, %v", reply, err)
	}
	s.Cont()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(reply); err != nil || string(reply) != "+PONG" {
		t.Fatalf("got %q, %v after going on", reply, err)
	}
}

func TestServerEndsWithTestBinary(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), orphanMaker+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
	if refuses(addr) {
		t.Fatalf("no server on %q", addr)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	Eventually(t, func() bool { return refuses(addr) }, "the server of a killed test binary ends")
	Eventually(t, func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) }, "its folder goes")
}

func TestMissingRedisErrorNamesRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := launch("", nil)
	if err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Fatalf("got %v", err)
	}
}

func TestStartErrorShowsReason(t *testing.T) {
	t.Parallel()
	_, err := launch("", []string{"--no-such-setting", "1"})
	if err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Fatalf("got %v", err)
	}
}

func TestSharedServerIsUniqueAndProtected(t *testing.T) {
	t.Parallel()
	s := SharedRedis(t)
	if SharedRedis(t) != s {
		t.Fatal("two shared servers")
	}
	defer func() {
		if recover() == nil || refuses(s.Addr()) {
			t.Fatal("a test broke the shared server")
		}
	}()
	s.Kill()
}

func TestNamespacesDiffer(t *testing.T) {
	t.Parallel()
	a, b := Namespace(t), Namespace(t)
	if a == b || !strings.HasPrefix(a, "testnamespacesdiffer-") {
		t.Fatalf("got %q and %q", a, b)
	}
}

func TestKeysOfNamespace(t *testing.T) {
	t.Parallel()
	s, ns := SharedRedis(t), Namespace(t)
	want := []string{ns + ":a", ns + ":b"}
	for _, key := range append(want, Namespace(t)+":c") {
		if err := dial(t, s.URL()).Set(t.Context(), key, 1, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if got := Keys(t, s.URL(), ns+":*"); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestPollTimesOut(t *testing.T) {
	t.Parallel()
	n := 0
	if poll(func() bool { n++; return false }, 20*time.Millisecond) || n < 2 {
		t.Fatalf("asked %d times", n)
	}
	if !poll(func() bool { return true }, 0) {
		t.Fatal("a condition that holds was not seen")
	}
}
