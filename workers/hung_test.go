package workers_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// deaf ignores its context. It makes the file "taken" in the folder that an item names, and returns
// when there is a file "go".
var deaf = workers.Define("deaf", func(_ context.Context, folder string) (string, error) {
	if err := os.WriteFile(filepath.Join(folder, "taken"), nil, 0o600); err != nil {
		return "", err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !exists(filepath.Join(folder, "go")) {
		<-tick.C
	}
	return "", nil
})

// A worker process whose function runs on after the deletion of the queue reports stage, source and
// offset of the call, and the end of its context.
func TestAWorkerReportsAFunctionThatHangs(t *testing.T) {
	t.Parallel()
	ex, processes := fleet(t, 1)
	folder := t.TempDir()
	q, err := bridge.ScatterSeq(t.Context(), ex, func(yield func(string) bool) { yield(folder) }, bridge.Name("folders"))
	if err == nil {
		_, err = executor.Map(t.Context(), deaf, q, executor.Name("none"))
	}
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return exists(filepath.Join(folder, "taken")) }, "the function runs")
	stages, err := ex.Stages(t.Context())
	if err != nil || len(stages) != 1 {
		t.Fatalf("stages %v, %v", stages, err)
	}
	began := time.Now().Truncate(time.Second)
	if err := ex.Delete(t.Context(), "folders"); err != nil {
		t.Fatal(err)
	}
	log, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", processes[0].Pid))
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`does not return.* stage=` + regexp.QuoteMeta(stages[0].ID) +
		` function=deaf queue=folders source=\S+ offset=0 ended=(\S+) why="the stage was removed or replaced"`)
	reported := func() []string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return wanted.FindStringSubmatch(string(text))
	}
	testkit.Eventually(t, func() bool { return reported() != nil }, "the worker reports the function")
	if since, err := time.Parse(time.RFC3339, reported()[1]); err != nil || since.Before(began) || since.After(time.Now()) {
		t.Errorf("ended=%s, %v", reported()[1], err)
	}
	if err := os.WriteFile(filepath.Join(folder, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ex.Delete(t.Context(), "none"); err != nil {
		t.Error(err)
	}
}
