package command_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// burn keeps all processors busy with other processes until the test ends.
func burn(t *testing.T) {
	t.Helper()
	for range 8 {
		busy := exec.Command("sh", "-c", "while :; do :; done")
		if err := busy.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = busy.Process.Kill()
			_ = busy.Wait()
		})
	}
}

// On a busy machine, each process of pipe: takes many times as long. It still gets thousands of
// lines: its start is the expensive part, and remains so under load.
func TestProcessesGetManyLinesUnderLoad(t *testing.T) {
	const n = 100_000
	server := testkit.StartRedis(t)
	command.SpareChild(server.Pid())
	for name, url := range map[string]string{"embedded": "", "redis": server.URL() + "/?ns=" + testkit.Namespace(t)} {
		t.Run(name, func(t *testing.T) {
			burn(t)
			starting := filepath.Join(t.TempDir(), "starts")
			set, err := command.New([]string{fmt.Sprintf("up=pipe:echo >> %s; tr 0-9 a-j", starting)}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer set.Close()
			ex, err := executor.New(t.Context(), url, executor.Concurrency(4))
			if err != nil {
				t.Fatal(err)
			}
			if err := ex.Register(set.Functions()...); err != nil {
				t.Fatal(err)
			}
			q, err := bridge.ScatterSeq(t.Context(), ex, func(yield func(string) bool) {
				for i := 0; i < n && yield(strconv.Itoa(i)); i++ {
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			q, err = executor.Map(t.Context(), workers.Remote[string, string]("up"), q)
			if err != nil {
				t.Fatal(err)
			}
			wantLetters(t, q, n)
			if err := ex.Close(); err != nil {
				t.Error(err)
			}
			startChild, err := os.ReadFile(starting)
			if processes := bytes.Count(startChild, []byte("\n")); err != nil || processes > n/250 {
				t.Errorf("%d processes for %d lines, %v", processes, n, err)
			}
		})
	}
}

// wantLetters checks that q has n numbers in order, with letters for digits.
func wantLetters(t *testing.T, q *executor.Queue[string], n int) {
	t.Helper()
	next := 0
	for v, err := range bridge.All(t.Context(), q) {
		want := []byte(strconv.Itoa(next))
		for i := range want {
			want[i] += 'a' - '0'
		}
		if err != nil || v != string(want) {
			t.Fatalf("line %d is %q, %v", next, v, err)
		}
		next++
	}
	if next != n {
		t.Errorf("%d lines of %d", next, n)
	}
}
