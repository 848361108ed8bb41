package differential

import (
	"errors"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/operate"
)

// operated pauses a stage, drops what waits in front of it, and lets it go on.
func operated(t *testing.T, both *testkit.Differential) {
	url := both.URL() + "/?ns=operated"
	ex := connect(t, url)
	out := must(executor.Map(t.Context(), inc, scatter(t, ex, numbers(10, same), bridge.Name("q"), bridge.Seal()), executor.Name("out")))(t)
	fine(t, ex.Flush(t.Context()))
	o := must(operate.New(t.Context(), url))(t)
	act := operate.Act{By: "ann", Reason: "too slow"}
	must(o.Pause(t.Context(), "q", act))(t)
	both.Compare()
	if items := must(o.Purge(t.Context(), "q", act, nil))(t); items != 10 {
		t.Errorf("%d items are dropped", items)
	}
	both.Compare()
	must(o.Resume(t.Context(), "out", act))(t)
	for _, err := range bridge.All(t.Context(), out) {
		if !errors.Is(err, executor.ErrDropped) {
			t.Errorf("a result is %v", err)
		}
	}
	fine(t, o.Close())
	both.Compare()
}
