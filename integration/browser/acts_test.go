package browser

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/operate"
)

// stageOf returns the stage of a function.
func stageOf(s inspect.Snapshot, function string) inspect.Stage {
	i := slices.IndexFunc(s.Stages, func(st inspect.Stage) bool { return st.Function == function })
	if i < 0 {
		return inspect.Stage{}
	}
	return s.Stages[i]
}

func hasQueue(s inspect.Snapshot, name string) bool {
	return slices.ContainsFunc(s.Queues, func(q inspect.Queue) bool { return q.Name == name })
}

// submit opens the control of an action, types its confirmation, and clicks its button.
func (v *tab) submit(t *testing.T, action, confirm string) {
	t.Helper()
	form := fmt.Sprintf("document.querySelector('main form[action$=\"/act/%s\"]')", action)
	v.until(t, form)
	eval[bool](t, v.ctx, fmt.Sprintf(`(() => {
		const form = %s, typed = form.querySelector("[name=confirm]"), details = form.closest("details");
		if (details) details.open = true;
		if (typed) typed.value = %q;
		form.querySelector("button").click();
		return true;
	})()`, form, confirm))
	v.until(t, `document.readyState === "complete" && (document.querySelector('main [role="status"]') || document.querySelector('main [role="alert"]'))`)
}

// message returns the result of the last action.
func (v *tab) message(t *testing.T) string {
	t.Helper()
	return eval[string](t, v.ctx, `document.querySelector('main [role="status"], main [role="alert"]').innerText`)
}

// noted reports whether an act is noted.
func noted(t *testing.T, o *operate.Operator, verb string) bool {
	t.Helper()
	acts, err := o.Acts(context.Background(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(acts, func(a inspect.Act) bool { return a.Verb == verb && a.By == "test@here" })
}

// hangs reports whether a worker runs an item of the function that hangs.
func hangs(w inspect.Worker) bool {
	return slices.ContainsFunc(w.Running, func(c inspect.Call) bool { return c.Function == "render" && time.Since(c.Since) > 2*time.Second })
}

// Each action does by a click what it says, and is noted.
func TestActions(t *testing.T) {
	f := newFleet(t)
	f.await(t, "all work", busy)
	o := f.operator(t)
	at := serve(t, f, page.Options{Operator: o, As: "test@here"})
	visit := open(t)
	stage := url.QueryEscape(stageOf(f.await(t, "stages", busy), "send-mail").ID)
	visit.goTo(t, at+"/stage?id="+stage)
	visit.submit(t, "pause", "")
	f.await(t, "the stage is paused: "+visit.message(t), func(s inspect.Snapshot) bool { return stageOf(s, "send-mail").Pause != nil })
	visit.goTo(t, at+"/stage?id="+stage)
	visit.submit(t, "resume", "")
	f.await(t, "the stage goes on: "+visit.message(t), func(s inspect.Snapshot) bool { return stageOf(s, "send-mail").Pause == nil })

	visit.goTo(t, at+"/queue?name=articles")
	visit.submit(t, "purge", "wrong")
	if text := visit.message(t); !strings.Contains(text, "nothing was done") {
		t.Errorf("after a wrong name: %s", text)
	}
	visit.goTo(t, at+"/queue?name=articles")
	visit.submit(t, "purge", "articles")
	f.await(t, "the items are dropped: "+visit.message(t), func(s inspect.Snapshot) bool {
		i := slices.IndexFunc(s.Queues, func(q inspect.Queue) bool { return q.Name == "articles" })
		return s.Queues[i].Waiting == 0
	})
	visit.goTo(t, at+"/queue?name=imports")
	visit.submit(t, "delete", "imports")
	f.await(t, "the queue is gone: "+visit.message(t), func(s inspect.Snapshot) bool { return !hasQueue(s, "imports") })

	visit.goTo(t, at+"/dead")
	do(t, visit.ctx, "select", chromedp.Click(chromedp.CSS("tbody [name=id]")), chromedp.Click(chromedp.CSS("[formaction$='/act/drop']")))
	visit.until(t, `document.querySelector('main [role="status"], main [role="alert"]')`)
	f.await(t, "the letter is gone: "+visit.message(t), func(s inspect.Snapshot) bool { return s.Letters == 0 })

	onWorker(t, f, visit, at)
	for _, verb := range []string{"pause", "resume", "purge", "delete", "drop", "cancel", "drain"} {
		if !noted(t, o, verb) {
			t.Errorf("%s is not noted", verb)
		}
	}
	visit.goTo(t, at+"/acts")
	if text := eval[string](t, visit.ctx, "document.querySelector('main').innerText"); !strings.Contains(text, "test@here") || !strings.Contains(text, "queue imports") {
		t.Errorf("the page of actions shows %s", text)
	}
}

// goTo loads a page.
func (v *tab) goTo(t *testing.T, address string) {
	t.Helper()
	do(t, v.ctx, address, chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#main")))
}

// onWorker cancels an item that hangs, and drains its worker for a while.
func onWorker(t *testing.T, f *fleet, visit *tab, at string) {
	t.Helper()
	hung := f.await(t, "an item hangs", busy).Workers
	i := slices.IndexFunc(hung, func(w inspect.Worker) bool { return hangs(w) })
	visit.goTo(t, at+"/worker?id="+hung[i].ID)
	visit.submit(t, "cancel", "")
	f.await(t, "an item is canceled: "+visit.message(t), func(s inspect.Snapshot) bool { return stageOf(s, "render").Failed > 0 })
	visit.goTo(t, at+"/worker?id="+hung[i].ID)
	visit.submit(t, "drain", "")
	f.await(t, "the worker drains: "+visit.message(t), func(s inspect.Snapshot) bool { return s.Workers[i].Draining })
	visit.goTo(t, at+"/worker?id="+hung[i].ID)
	visit.submit(t, "undrain", "")
	f.await(t, "the worker takes items: "+visit.message(t), func(s inspect.Snapshot) bool { return !s.Workers[i].Draining })
}
