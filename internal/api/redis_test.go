package api_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/api"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/workers"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// The answers about a namespace in Redis fit their schemas too.
func TestAnswersFromRedis(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	step := workers.Define("step", func(ctx context.Context, n int) (int, error) {
		switch n {
		case 1:
			return 0, errors.New("one fails")
		case 2:
			<-ctx.Done()
		}
		return n, nil
	})
	ex, err := executor.New(t.Context(), url, executor.Concurrency(2))
	if err == nil {
		err = ex.Register(step)
	}
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan int, 4)
	for n := range 4 {
		in <- n
	}
	q, err := bridge.Scatter(t.Context(), ex, in, bridge.Name("orders"), bridge.DurableSource("s.3737"))
	if err == nil {
		_, err = executor.Map(t.Context(), step, q, executor.Name("slowed"))
	}
	inspector, failed := executor.NewInspector(t.Context(), url)
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	w := watch.Start(t.Context(), inspector, slog.New(slog.DiscardHandler))
	defer w.Look()()
	h := api.Handler(w, inspector)
	testkit.Eventually(t, func() bool {
		l := decoded[api.List[inspect.ErrorGroup]](t, get(t, h, api.Prefix+"errors"))
		return len(l.Items) == 1 && l.Items[0].Message == "one fails"
	}, "the failure of an item")
	worker := decoded[api.List[inspect.Worker]](t, get(t, h, api.Prefix+"workers")).Items[0].ID
	for _, route := range api.Routes() {
		path := strings.ReplaceAll(paths[strings.TrimPrefix(route.Path, api.Prefix)], "w-1", worker)
		path = strings.ReplaceAll(path, "offset=12", "offset=2")
		answer := get(t, h, api.Prefix+path)
		if answer.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, answer.Code, answer.Body)
		} else if err := valid(t, route.Answer, answer.Body.Bytes()); err != nil {
			t.Errorf("%s: %v\n%s", path, err, answer.Body)
		}
	}
	if at := decoded[api.List[inspect.Location]](t, get(t, h, api.Prefix+"where?source=s.3737&offset=2")); at.Items[0].State != inspect.Held {
		t.Errorf("the item that runs is %+v", at.Items[0])
	}
	if l := decoded[api.List[inspect.Function]](t, get(t, h, api.Prefix+"functions")); len(l.Items) != 1 || l.Items[0].Name != "step" || l.Items[0].Workers != 1 {
		t.Errorf("the functions: %+v", l.Items)
	}
	w.Close()
	if err := errors.Join(inspector.Close(), ex.Delete(t.Context(), "orders"), ex.Delete(t.Context(), "slowed"), ex.Close()); err != nil {
		t.Error(err)
	}
}
