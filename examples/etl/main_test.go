package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// TestMain lets the test binary be the program, so that a test can kill it.
func TestMain(m *testing.M) {
	if os.Getenv("ETL_PROGRAM") != "" {
		main()
		os.Exit(0)
	}
	testkit.Main(m)
}

// start starts the program as a process of its own.
func start(t *testing.T, address string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "ETL_PROGRAM=1", "DQBRIDGE_REDIS="+address)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kill(cmd) })
	return cmd
}

// kill is kill -9.
func kill(cmd *exec.Cmd) error {
	return errors.Join(cmd.Process.Signal(syscall.SIGKILL), cmd.Wait())
}

// lines returns the lines of a file, none if it is not there.
func lines(name string) []string {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	return strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

// The program and a worker are killed in the middle. A second call of the program makes the output whole: it has each
// row once, in the order of the input, also after a third call.
func TestOutputIsWholeAfterKills(t *testing.T) {
	t.Parallel()
	address := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	output := filepath.Join(t.TempDir(), "neutrons.jsonl")
	victim := start(t, address, "worker")
	start(t, address, "worker")
	program := start(t, address, "load", "elements.csv", output)
	testkit.Eventually(t, func() bool { return len(lines(output)) > 20 }, "some rows are written")
	_, _ = kill(program), kill(victim)
	before := len(lines(output))
	for range 2 {
		if err := start(t, address, "load", "elements.csv", output).Wait(); err != nil {
			t.Fatal(err)
		}
		compare(t, output)
	}
	if before > 80 {
		t.Errorf("the program was killed after %d rows", before)
	}
}

// compare compares an output with the input.
func compare(t *testing.T, output string) {
	t.Helper()
	rows, err := read("elements.csv")
	if err != nil {
		t.Fatal(err)
	}
	got := lines(output)
	if len(got) != len(rows) {
		t.Fatalf("%d lines for %d rows", len(got), len(rows))
	}
	for i, text := range got {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil || l.Row != int64(i) {
			t.Fatalf("line %d is %q, %v", i, text, err)
		}
		if without := strings.HasPrefix(rows[i][3], "["); without != (l.Element == nil) || !without && l.Element.Symbol != rows[i][1] {
			t.Errorf("the line of %v is %q", rows[i], text)
		}
	}
}

// A full disk is a file that refuses its first writes.
type fullDisk struct {
	bytes.Buffer
	refuse int
}

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.refuse--; d.refuse >= 0 {
		return 0, errors.New("no space left on device")
	}
	return d.Buffer.Write(p)
}

func (d *fullDisk) Truncate(size int64) error { d.Buffer.Truncate(int(size)); return nil }
func (d *fullDisk) Sync() error               { return nil }
func (d *fullDisk) Close() error              { return nil }

// A result that cannot be written comes again. One that cannot be written five times is a dead letter, and its row has
// a line that says so.
func TestUnwrittenResultsComeAgain(t *testing.T) {
	t.Parallel()
	for refuse, want := range map[int]string{
		2: `{"row":0,"element":{"symbol":"H","neutrons":0}}`,
		5: `{"row":0,"error":"its consumer has given it back 5 times; it is a dead letter"}`,
	} {
		t.Run(fmt.Sprint(refuse), func(t *testing.T) {
			t.Parallel()
			ex, err := executor.New(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			defer ex.Close()
			if err := ex.Register(neutrons); err != nil {
				t.Fatal(err)
			}
			results, err := transform(t.Context(), ex, [][]string{{"1", "H", "Hydrogen", "1.008"}})
			if err != nil {
				t.Fatal(err)
			}
			disk := &fullDisk{refuse: refuse}
			if err := collect(results, &output{file: disk, written: map[int64]bool{}}); err != nil {
				t.Fatal(err)
			}
			if got := disk.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 {
				t.Errorf("the output is %q, want %q", got, want)
			}
			letters := 0
			for letter, err := range ex.DeadLetters(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				if letters++; letter.Why.Code != "rejected" {
					t.Errorf("the letter is %+v", letter)
				}
			}
			if want := refuse / 5; letters != want {
				t.Errorf("%d dead letters, want %d", letters, want)
			}
		})
	}
}

// A line that a crash left incomplete is cut off. Another file is refused.
func TestOutputWithHalfALine(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "out")
	if err := os.WriteFile(name, []byte("{\"row\":0}\n{\"row\":1"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := openOutput(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.write(bridge.Result[Element]{}), out.Close()); err != nil || len(out.written) != 1 {
		t.Errorf("%v, %v", out.written, err)
	}
	if got := lines(name); len(got) != 1 || got[0] != `{"row":0}` {
		t.Errorf("the lines are %q", got)
	}
	if _, err := openOutput("elements.csv"); err == nil {
		t.Error("a CSV is opened as an output")
	}
}
