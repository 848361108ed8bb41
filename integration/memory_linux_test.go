package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

// A function is much slower than the reader of its lines of 2 MB. All buffers on the way are
// bounded in bytes.
func TestMemoryIsBoundedForLargeLines(t *testing.T) {
	t.Parallel()
	const lines, size, most = 150, 2_000_000, 200 << 20
	cmd := exec.CommandContext(t.Context(), "dqbridge", "run", "--concurrency", "2", "--fn", "slow=exec:sleep 0.02; wc -c", "slow")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		line := append(bytes.Repeat([]byte("x"), size), '\n')
		for range lines {
			if _, err := in.Write(line); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	results := bufio.NewScanner(out)
	for i := range lines {
		if want := strconv.Itoa(size + 1); !results.Scan() || results.Text() != want {
			t.Fatalf("result %d is %q, %v", i, results.Text(), results.Err())
		}
	}
	if peak := peakOf(t, cmd.Process.Pid); peak > most {
		t.Errorf("it took %d MiB", peak>>20)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

var peak = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// peakOf returns the peak memory of a process, in bytes.
func peakOf(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	found := peak.FindSubmatch(status)
	if err != nil || found == nil {
		t.Fatalf("%q, %v", status, err)
	}
	kb, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
