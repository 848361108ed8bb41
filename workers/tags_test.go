package workers_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// namedWorker runs a worker whose functions return its name.
func namedWorker(t *testing.T, url, name string, opts ...workers.Option) (stop func() error) {
	t.Helper()
	who := func(_ context.Context, said string) (string, error) { return said + name, nil }
	opts = append(opts, workers.Logger(nil), workers.Functions(workers.Define("first", who), workers.Define("second", who)))
	w := must(workers.New(url, opts...))(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	<-w.Ready()
	return func() error {
		cancel()
		return <-done
	}
}

// Only workers with all tags of a stage run it, also if they could fuse it with the one before.
// Until there is one, the flow is stuck, and the reason names the tags.
func TestOnlyWorkersWithItsTagsRunAStage(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	stopPlain := namedWorker(t, url, "plain", workers.Tags("gpu"))
	ex := must(executor.New(t.Context(), url, executor.Logger(nil)))(t)
	first, second := workers.Remote[string, string]("first"), workers.Remote[string, string]("second")
	in := must(bridge.ScatterSeq(t.Context(), ex, slices.Values(make([]string, 100))))(t)
	middle := must(executor.Map(t.Context(), first, in))(t)
	out := must(executor.Map(t.Context(), second, middle, executor.Tags("gpu", "eu", "gpu")))(t)
	future := must(executor.Submit(t.Context(), ex, second, "", executor.Tags("eu")))(t)
	var flow inspect.Flow
	var stage inspect.Stage
	testkit.Eventually(t, func() bool {
		s, err := ex.Snapshot(t.Context())
		for _, f := range s.Flows() {
			if len(f.Chain) == 2 {
				flow = f
			}
		}
		for _, found := range s.Stages {
			if found.ID == out.Name() {
				stage = found
			}
		}
		return err == nil && must(middle.Len(t.Context()))(t) == 100 && flow.Waiting == 100 && flow.Running == 0
	}, "the items wait for a worker with the tags")
	if want := "no worker with the function of stage " + out.Name() + " (second) has the tags eu,gpu"; flow.State != "stuck" || flow.Why != want {
		t.Errorf("the flow is %s: %s", flow.State, flow.Why)
	}
	if stage.Workers != 0 || stage.Untagged != 1 || stage.Others != 0 {
		t.Errorf("the stage has %+v", stage)
	}
	stopTagged := namedWorker(t, url, "tagged", workers.Tags("eu"), workers.Tags("gpu", "large"))
	n := 0
	for said, err := range bridge.All(t.Context(), out) {
		if n++; err != nil || said != "plaintagged" {
			t.Errorf("%q, %v", said, err)
		}
	}
	if said, err := future.Result(t.Context()); n != 100 || said != "tagged" || err != nil {
		t.Errorf("%d items; the future is %q, %v", n, said, err)
	}
	if err := errors.Join(stopPlain(), stopTagged(), ex.Close()); err != nil {
		t.Error(err)
	}
}

func TestTagsAreNames(t *testing.T) {
	t.Parallel()
	if _, err := workers.New("redis://h", workers.Tags("a,b")); !errors.Is(err, executor.ErrInvalidName) {
		t.Error(err)
	}
	ex := must(executor.New(t.Context(), ""))(t)
	for _, option := range []executor.StageOption{executor.Tags(), executor.Tags("a", "")} {
		if _, err := executor.Submit(t.Context(), ex, workers.Remote[int, int]("f"), 1, option); err == nil {
			t.Error("bad tags are no error")
		}
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}
