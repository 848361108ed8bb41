package browser

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// manyLetters is more than a server drops in the second after which the progress is shown.
const manyLetters = 20_000

// bury adds dead letters.
func (f *fleet) bury(t *testing.T, letters int) {
	t.Helper()
	pipe := f.raw.Pipeline()
	for i := range letters {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "{shop:0}:dead", Values: []any{
			"q", "videos", "s", "uploads-2026", "o", i, "n", 1, "a", 0, "k", 5, "d", "w-1 1764446400000 render-04",
			"why", `{"code":"crashed","message":"5 workers died while they had the item"}`, "f", "\x01\x08" + `1234`,
		}})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A long action shows its progress in each tab, goes on without the tab that began it, and ends with
// its Stop.
func TestLongActionsShowProgressAndStop(t *testing.T) {
	f := &fleet{server: testkit.StartRedis(t)}
	f.url = f.server.URL() + "/?ns=shop"
	f.raw = redis.NewClient(&redis.Options{Addr: f.server.Addr()})
	t.Cleanup(func() { _ = f.raw.Close() })
	f.bury(t, manyLetters)
	o := f.operator(t)
	at := serve(t, f, page.Options{Operator: o, As: "test@here"})
	letters := func() int64 {
		n, err := f.raw.XLen(context.Background(), "{shop:0}:dead").Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first, second := open(t), open(t)
	first.goTo(t, at+"/dead")
	eval[bool](t, first.ctx, fmt.Sprintf(`(() => {
		const form = [...document.querySelectorAll('main form[action$="/act/drop"]')].find((f) => f.querySelector("[name=all]"));
		form.closest("details").open = true;
		form.querySelector("[name=confirm]").value = %q;
		form.querySelector("button").click();
		return true;
	})()`, fmt.Sprint(manyLetters)))
	first.until(t, `document.readyState === "complete" && document.querySelector(".long progress")`)
	do(t, first.ctx, "leave", chromedp.Navigate("about:blank")) // as if the tab were closed

	second.goTo(t, at+"/queues")
	second.until(t, `document.querySelector(".long progress")`)
	began := eval[float64](t, second.ctx, `document.querySelector(".long progress").value`)
	second.until(t, fmt.Sprintf(`!document.querySelector(".long progress") || document.querySelector(".long progress").value > %f`, began))
	eval[bool](t, second.ctx, `(() => { document.querySelector('.long form[action$="/act/stop"] button').click(); return true; })()`)
	second.until(t, `document.querySelector(".long[role=status]")`)
	if text := eval[string](t, second.ctx, `document.querySelector(".long[role=status]").innerText`); !strings.Contains(text, "stopped") {
		t.Errorf("after Stop: %s", text)
	}
	left := letters()
	if left == 0 || left == manyLetters {
		t.Errorf("after Stop: %d letters", left)
	}
	acts, err := o.Acts(context.Background(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(acts, func(a inspect.Act) bool { return a.Verb == "drop" && a.By == "test@here" }) {
		t.Error("no drop is noted")
	}
	shoot(t, second.ctx, "progress")
	if again := letters(); again != left {
		t.Errorf("after Stop: %d letters, and %d later", left, again)
	}
	eval[bool](t, second.ctx, `(() => { document.querySelector('.long form[action$="/act/stop"] button').click(); return true; })()`) // Hide
	second.until(t, `document.readyState === "complete" && !document.querySelector(".long")`)
	for _, v := range []*tab{first, second} {
		if reports := v.reports(); len(reports) > 0 {
			t.Errorf("the browser reports %q", reports)
		}
	}
}
