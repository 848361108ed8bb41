package browser

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dqbridge/dqbridge/internal/page"
)

func TestScreenshots(t *testing.T) {
	f := newFleet(t)
	f.await(t, "all work", busy)
	at := serve(t, f, page.Options{})
	ctx := open(t).ctx
	stage := ""
	for _, s := range f.await(t, "stages", busy).Stages {
		if s.Function == "send-mail" {
			stage = s.ID
		}
	}
	worker := f.await(t, "workers", busy).Workers[0].ID
	do(t, ctx, "warm up", chromedp.Navigate(at+"/"))
	_ = rest(t.Context(), 40*time.Second)
	for _, p := range []struct{ name, path string }{
		{"flows", "/"}, {"flow", "/flow?name=orders"}, {"stage", "/stage?id=" + stage}, {"queues", "/queues"}, {"workers", "/workers"},
		{"worker", "/worker?id=" + worker}, {"errors", "/errors"}, {"dead", "/dead"}, {"where", "/where?source=x&offset=1"}, {"redis", "/redis"},
	} {
		for _, l := range []struct {
			suffix, scheme string
			width, height  int64
		}{{"", "light", 1280, 800}, {"-dark", "dark", 1280, 800}, {"-phone", "light", 360, 760}} {
			looks(t, ctx, l.width, l.height, l.scheme)
			do(t, ctx, p.name, chromedp.Navigate(at+p.path), chromedp.WaitVisible(chromedp.CSS("#main")), chromedp.Sleep(700*time.Millisecond))
			shoot(t, ctx, p.name+l.suffix)
		}
	}
}
