package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

func TestMain(m *testing.M) { testkit.MainWithCommands(m, root) }

func TestCommands(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
	err := errors.Join(admin.Do(t.Context(), "acl", "setuser", "poor", "on", ">secret", "+ping").Err(), admin.Close())
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			url := server.URL() + "/?ns=" + testkit.Namespace(t)
			port, err := closedPort()
			clients, failed := filepath.Abs(filepath.Join(root, "clients"))
			env.Setenv("DEPLOY", filepath.Join(filepath.Dir(clients), "deploy"))
			env.Setenv("PYTHONPATH", filepath.Join(clients, "python"))
			env.Setenv("PYTHONDONTWRITEBYTECODE", "1")
			env.Setenv("REDIS", url)
			env.Setenv("NOBODY", "redis://user:secret@127.0.0.1:"+strconv.Itoa(port))
			env.Setenv("WRONG", "redis://poor:secret2@"+server.Addr())
			env.Setenv("POOR", "redis://poor:secret@"+server.Addr())
			env.Setenv("TLS", "rediss://"+server.Addr())
			env.Setenv("DQBRIDGE_REDIS", "")
			return errors.Join(err, failed)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status, "worker": worker, "interrupt": interrupt, "letters": letters,
		},
	})
}

// closedPort returns a port without a server.
func closedPort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// status N COMMAND... runs a command with the file stdin as its input and expects the exit status
// N. It writes stdout and stderr to the files out and err.
func status(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	cmd := command(ts, args[1:])
	if got := execute(ts, cmd); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, not %s\nstdout: %s\nstderr: %s", got, args[0], ts.ReadFile("out"), ts.ReadFile("err"))
	}
}

func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	ts.Defer(cancel)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"DQBRIDGE_REDIS", "PATH", "HOME", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

func execute(ts *testscript.TestScript, cmd *exec.Cmd) int {
	var out, err strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &err
	if in, failed := os.Open(ts.MkAbs("stdin")); failed == nil {
		defer in.Close()
		cmd.Stdin = in
	}
	failed := cmd.Run()
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(err.String()), 0o600))
	if cmd.ProcessState == nil {
		ts.Fatalf("%v", failed)
	}
	return cmd.ProcessState.ExitCode()
}

// worker FLAGS... starts a dqworker. At the end of the script it gets SIGTERM, after which it must
// exit with 0.
func worker(ts *testscript.TestScript, _ bool, args []string) {
	cmd := command(ts, append([]string{"dqworker", "--redis", ts.Getenv("REDIS")}, args...))
	var log strings.Builder
	cmd.Stderr = &log
	ts.Check(cmd.Start())
	ts.Defer(func() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		if err := cmd.Wait(); err != nil {
			ts.Fatalf("dqworker: %v\n%s", err, log.String())
		}
	})
}

// letters QUEUE FILE adds the lines of a file to a queue that it seals, and makes dead letters of
// them.
func letters(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSuffix(ts.ReadFile(args[1]), "\n"), "\n")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(rejectAll(ctx, ts.Getenv("REDIS"), args[0], lines, bridge.Seal()))
}

// interrupt SIGNALS STATUS COMMAND... starts a command with an endless input. After the first line
// of output it sends the signals in quick succession, and expects the exit status.
func interrupt(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}
	cmd := command(ts, args[2:])
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	var text strings.Builder
	cmd.Stderr = &text
	ts.Check(cmd.Start())
	_, err = fmt.Fprintln(in, "1")
	ts.Check(err)
	var line [2]byte
	_, err = out.Read(line[:])
	ts.Check(err)
	for name := range strings.SplitSeq(args[0], ",") {
		ts.Check(cmd.Process.Signal(signals[name]))
	}
	err = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); strconv.Itoa(got) != args[1] {
		ts.Fatalf("exit status %d (%v)\n%s", got, err, text.String())
	}
	if text.Len() > 0 {
		ts.Fatalf("on stderr: %s", text.String())
	}
}
