package browser

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/page"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// limit bounds one visit of a page.
const limit = 60 * time.Second

// serve serves the pages of a fleet on a free port until the end of the test. It returns the address.
func serve(t *testing.T, f *fleet, options page.Options) string {
	t.Helper()
	inspector, err := executor.NewInspector(t.Context(), f.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = inspector.Close() })
	return serveWatched(t, inspector, watch.Start(context.Background(), inspector, slog.New(slog.DiscardHandler)), options)
}

// serveWatched serves the pages of a namespace that a Watcher reads, and closes the Watcher.
func serveWatched(t *testing.T, inspector executor.Inspector, watcher *watch.Watcher, options page.Options) string {
	t.Helper()
	if options.Name == "" {
		options.Name = "shop"
	}
	pages, err := page.New(context.Background(), inspector, watcher, options)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: pages, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		pages.Close()
		_ = server.Close()
		<-ended
		watcher.Close()
	})
	return "http://" + listener.Addr().String()
}

// open starts a Chromium until the end of the test.
func open(t *testing.T) *tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, // as root, which a container often is
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-color-profile", "srgb"),
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	visit := &tab{ctx: ctx}
	if err := chromedp.Listen(ctx, visit.note); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return visit
}

// do runs actions within the limit.
func do(t *testing.T, ctx context.Context, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := chromedp.Do(limited, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// eval returns the value of an expression in the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	value, err := chromedp.Run(limited, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// looks sets the size of the window and the colours of the system.
func looks(t *testing.T, ctx context.Context, width, height int64, scheme string) {
	t.Helper()
	do(t, ctx, "window", chromedp.EmulateViewport(width, height))
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		t.Fatal(err)
	}
}

// shoot writes a picture of the window to the folder that SHOTS names, or to that of the test.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("SHOTS")
	if dir == "" {
		dir = t.ArtifactDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), small(t, picture), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A tab is a Chromium with one page, which notes the requests and complaints of the browser.
type tab struct {
	ctx      context.Context
	mu       sync.Mutex
	asked    []string // addresses of requests
	reported []string // violations of the policy, and errors of scripts
}

// note keeps an event.
func (v *tab) note(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		v.asked = append(v.asked, e.Request.URL)
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of") {
			v.reported = append(v.reported, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		v.reported = append(v.reported, e.ExceptionDetails.Text)
	}
}

func (v *tab) requests() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.asked)
}

func (v *tab) reports() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.reported)
}
