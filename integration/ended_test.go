package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A flow of run has gone when the command ends. The workers report most of its work afterwards.
func TestHistoryOfFlows(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.worker(t, "--fn", "grow=exec: test {} != 7 && echo {}0", "--fn", "shrink=pipe: cut -c1")
	out, _ := s.command(t, "dqbridge", "run", "grow", "shrink", "--errors", "inline").CombinedOutput()
	if len(out) > 0 {
		t.Fatalf("%s", out)
	}
	cmd := s.command(t, "dqbridge", "run", "grow", "shrink", "--errors", "inline")
	cmd.Stdin = strings.NewReader("1\n7\n3\n")
	_, _ = cmd.Output() // an item fails
	var flows []inspect.EndedFlow
	testkit.Eventually(t, func() bool {
		if err := json.Unmarshal([]byte(s.run(t, "", "dqbridge", "history", "--flows", "--json", "--limit", "9")), &flows); err != nil {
			t.Fatal(err)
		}
		return len(flows) > 0 && flows[0].Failed > 0 && flows[0].Stages[1].Done == 3
	}, "the workers have reported")
	f := flows[0]
	if len(flows) != 1 || strings.Join(f.Chain, " ") != "grow shrink" || f.Items != 3 || f.Failed != 1 || f.Stages[0].Done != 3 || f.Stages[0].P50 == 0 {
		t.Errorf("the flows that have gone are %+v", flows)
	}
	if len(f.Errors) != 1 || f.Errors[0].Function != "grow" || f.Errors[0].Count != 1 {
		t.Errorf("its errors are %+v", f.Errors)
	}
	table := s.run(t, "", "dqbridge", "history", "--flows")
	for _, want := range []string{"ENDED", "grow > shrink", "1x " + f.Errors[0].Code} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}

// The program of a flow is killed. Its queues are deleted after the grace period.
func TestHistoryOfAKilledFlow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.worker(t, "--fn", "wait=exec: sleep 1000")
	cmd := s.command(t, "dqbridge", "run", "wait")
	cmd.Stdin = strings.NewReader("1\n2\n3\n")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool {
		return strings.Contains(s.run(t, "", "dqbridge", "stages"), "wait")
	}, "the stage is there")
	testkit.Eventually(t, func() bool {
		return strings.Contains(s.run(t, "", "dqbridge", "sources"), "ended")
	}, "its items are stored")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	var flows []inspect.EndedFlow
	testkit.Eventually(t, func() bool {
		s.endGrace(t)
		if err := json.Unmarshal([]byte(s.run(t, "", "dqbridge", "history", "--flows", "--json")), &flows); err != nil {
			t.Fatal(err)
		}
		return len(flows) > 0
	}, "the flow has gone")
	if len(flows) != 1 || flows[0].Items != 0 || flows[0].Chain[0] != "wait" {
		t.Errorf("the flows that have gone are %+v", flows)
	}
}
