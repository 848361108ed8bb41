package browser

import (
	_ "embed"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/page"
)

//go:embed testdata/axe.min.js
var axe string

// visits returns the paths of one page of each kind.
func visits(s inspect.Snapshot) map[string]string {
	stage := ""
	for _, st := range s.Stages {
		if st.Function == "send-mail" {
			stage = st.ID
		}
	}
	return map[string]string{
		"flows": "/", "flow": "/flow?name=orders", "stage": "/stage?id=" + url.QueryEscape(stage), "queues": "/queues", "queue": "/queue?name=articles",
		"workers": "/workers", "ended": "/ended", "worker": "/worker?id=" + s.Workers[0].ID, "errors": "/errors", "dead": "/dead",
		"where": "/where?source=" + url.QueryEscape(s.Sources[0].Name) + "&offset=1", "redis": "/redis", "acts": "/acts", "login": "/login",
	}
}

// violations returns what axe-core finds in the page.
func violations(t *testing.T, visit *tab) []string {
	t.Helper()
	do(t, visit.ctx, "axe", chromedp.Evaluate[chromedp.Void](axe))
	return eval[[]string](t, visit.ctx, `axe.run(document, {resultTypes: ["violations"]}).then((found) =>
		found.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.target.join(" ") + ": " + n.failureSummary)))`)
}

// Every page is accessible in both themes, fits into a telephone, obeys its policy and sends no request to another host.
func TestPagesAreSound(t *testing.T) {
	f := newFleet(t)
	s := f.await(t, "all work", busy)
	at := serve(t, f, page.Options{Operator: f.operator(t), As: "test@here"})
	visit := open(t)
	for name, path := range visits(s) {
		for _, look := range []struct {
			scheme        string
			width, height int64
		}{{"light", 1280, 800}, {"dark", 1280, 800}, {"light", 360, 740}} {
			what := fmt.Sprintf("%s, %s, %d", name, look.scheme, look.width)
			looks(t, visit.ctx, look.width, look.height, look.scheme)
			do(t, visit.ctx, what, chromedp.Navigate(at+path), chromedp.WaitVisible(chromedp.CSS("#main")))
			eval[bool](t, visit.ctx, `document.querySelectorAll("details").forEach((d) => { d.open = true; }) || true`)
			if width := eval[int64](t, visit.ctx, "document.documentElement.scrollWidth"); width > look.width {
				t.Errorf("%s: the page is %d wide", what, width)
			}
			for _, v := range violations(t, visit) {
				t.Errorf("%s: %s", what, v)
			}
		}
	}
	for _, request := range visit.requests() {
		if !strings.HasPrefix(request, at+"/") && !strings.HasPrefix(request, "data:") {
			t.Errorf("a page sends a request to %s", request)
		}
	}
	for _, report := range visit.reports() {
		t.Errorf("the browser reports: %s", report)
	}
}

// The page follows the namespace without a reload, and its numbers are those of the snapshot.
func TestPageFollowsNamespace(t *testing.T) {
	f := newFleet(t)
	at := serve(t, f, page.Options{})
	visit := open(t)
	do(t, visit.ctx, "queues", chromedp.Navigate(at+"/queues"), chromedp.WaitVisible(chromedp.CSS(".queues")))
	eval[bool](t, visit.ctx, "window.stays = true")
	f.scatter(t, "late", 123)
	visit.until(t, `[...document.querySelectorAll("tr[data-row]")].some((r) => r.querySelector("a.open").textContent === "late" && r.querySelector('[data-label="Waiting"]').textContent === "123")`)
	if !eval[bool](t, visit.ctx, "window.stays === true") {
		t.Error("the page was loaded again")
	}
	s := f.await(t, "queues", busy)
	shown := eval[map[string][]string](t, visit.ctx, `Object.fromEntries([...document.querySelectorAll("tr[data-row]")].map((r) =>
		[r.querySelector("a.open").textContent, ["Waiting", "Requeued", "Delayed", "Suspect", "Running"].map((l) => r.querySelector('[data-label="' + l + '"]').textContent)]))`)
	for _, q := range s.Queues {
		if q.Name != "late" && q.Name != "articles" && q.Name != "imports" && q.Name != "published" { // the others change
			continue
		}
		want := fmt.Sprint([]int64{q.Waiting, q.Requeued, q.Delayed, q.Suspects, q.Running})
		if got := strings.ReplaceAll(fmt.Sprint(shown[q.Name]), ",", ""); got != want {
			t.Errorf("queue %s shows %s, not %s", q.Name, got, want)
		}
	}
}

// Keys move, open, filter, freeze and help.
func TestKeys(t *testing.T) {
	f := newFleet(t)
	at := serve(t, f, page.Options{})
	visit := open(t)
	do(t, visit.ctx, "flows", chromedp.Navigate(at+"/"), chromedp.WaitVisible(chromedp.CSS(".flows")), chromedp.KeyEvent("jj"))
	if row := eval[int](t, visit.ctx, `[...document.querySelectorAll("tr[data-row]")].findIndex((r) => r.classList.contains("picked"))`); row != 1 {
		t.Errorf("after j j, row %d is picked", row)
	}
	do(t, visit.ctx, "open", chromedp.KeyEvent("\r"))
	visit.until(t, `location.pathname === "/flow" && document.readyState === "complete"`)
	do(t, visit.ctx, "queues", chromedp.KeyEvent("gq"))
	visit.until(t, `location.pathname === "/queues" && document.readyState === "complete"`)
	do(t, visit.ctx, "filter", chromedp.KeyEvent("/"))
	visit.until(t, `document.activeElement.id === "filter" && ((document.activeElement.value = "") || true)`) // chromedp types the character of a key that is used up
	do(t, visit.ctx, "filter", chromedp.KeyEvent("priced\r"))
	visit.until(t, `location.search === "?q=priced" && document.querySelectorAll("tr[data-row]").length === 1`)
	do(t, visit.ctx, "freeze", chromedp.KeyEvent("p"))
	visit.until(t, `document.getElementById("freeze").textContent === "Frozen"`)
	do(t, visit.ctx, "help", chromedp.KeyEvent("?"))
	visit.until(t, `document.getElementById("help").open`)
}

// A page says within five seconds that Redis does not answer, keeps the last state, and recovers by itself
// in as many.
func TestOutageIsShown(t *testing.T) {
	f := newFleet(t)
	at := serve(t, f, page.Options{})
	visit := open(t)
	do(t, visit.ctx, "flows", chromedp.Navigate(at+"/"), chromedp.WaitVisible(chromedp.CSS(".flows")))
	visit.untilEvents(t, 2)
	f.server.Stop()
	resumed := false
	defer func() {
		if !resumed {
			f.server.Cont()
		}
	}()
	stopped := time.Now()
	visit.until(t, `document.querySelector("#live.away") && document.getElementById("banner").textContent.includes("Redis does not answer")`)
	said := time.Since(stopped)
	if rows := eval[int](t, visit.ctx, `document.querySelectorAll("tr[data-row]").length`); rows < 5 {
		t.Errorf("%d rows of the last state are left", rows)
	}
	if err := rest(t.Context(), outage-said); err != nil {
		t.Fatal(err)
	}
	f.server.Cont()
	resumed = true
	visit.until(t, `!document.querySelector("#live.away")`)
	recovered := time.Since(stopped) - outage
	t.Logf("said after %v, recovered after %v", said, recovered)
	if said > 5*time.Second || recovered > 5*time.Second {
		t.Errorf("the page says so after %v and recovers after %v", said, recovered)
	}
}

// outage is how long Redis stands still.
const outage = 20 * time.Second

// untilEvents waits until the page has received so many states.
func (v *tab) untilEvents(t *testing.T, n int) {
	t.Helper()
	eval[bool](t, v.ctx, fmt.Sprintf(`new Promise((done) => {
		let left = %d;
		const stream = new EventSource(document.body.dataset.events);
		stream.addEventListener("view", () => { if (--left === 0) { stream.close(); done(true); } });
	})`, n))
}

// The colours can be changed, and stay so.
func TestThemeStays(t *testing.T) {
	f := newFleet(t)
	at := serve(t, f, page.Options{})
	visit := open(t)
	looks(t, visit.ctx, 1280, 800, "light")
	do(t, visit.ctx, "theme", chromedp.Navigate(at+"/"), chromedp.WaitVisible(chromedp.CSS("#theme")), chromedp.Click(chromedp.CSS("#theme")),
		chromedp.Navigate(at+"/queues"))
	visit.until(t, `document.documentElement.dataset.theme === "dark"`)
}

// until waits for a condition in the page.
func (v *tab) until(t *testing.T, condition string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !eval[bool](t, v.ctx, "!!("+condition+")") {
		if time.Now().After(deadline) {
			t.Fatalf("never in the page: %s; it shows: %.2000s", condition, eval[string](t, v.ctx, "document.body.innerText"))
		}
		if err := rest(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}
