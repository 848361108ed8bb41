package metrics

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var (
	update     = flag.Bool("update", false, "write the table of docs/metrics.md and the alerts of the Helm chart")
	exposition = flag.String("exposition", "", "write the metrics of a planted namespace to a `file`, for promtool")
)

// A scrape in the text format has all metrics of a namespace.
func TestExposition(t *testing.T) {
	inVirtualTime(t, func(s scraper) {
		s.n.state = planted()
		s.scrape()
		answer := httptest.NewRecorder()
		promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		text := answer.Body.Bytes()
		for _, f := range s.fleet.families.all() {
			if !bytes.Contains(text, []byte("# HELP "+f.name+" "+f.help+"\n# TYPE "+f.name+" "+f.kind+"\n"+f.name)) {
				t.Errorf("the scrape does not have %s", f.name)
			}
		}
		if *exposition != "" {
			if err := os.WriteFile(*exposition, text, 0o600); err != nil {
				t.Error(err)
			}
		}
	})
}

var used = regexp.MustCompile(`dqbridge_[a-z_]+`)

// names returns the names of all series of both kinds.
func names() map[string]bool {
	found := map[string]bool{}
	for _, f := range append(newFleetFamilies().all(), newWorkerFamilies().all()...) {
		found[f.name] = true
		if f.kind == histogramType {
			found[f.name+"_bucket"], found[f.name+"_count"], found[f.name+"_sum"] = true, true, true
		}
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The alerts and the dashboard name metrics that exist, and the tests of the alerts have each alert.
func TestDeployedNamesExist(t *testing.T) {
	t.Parallel()
	known := names()
	for _, file := range []string{"deploy/alerts.yaml", "deploy/alerts_test.yaml", "deploy/grafana.json"} {
		found := used.FindAllString(read(t, file), -1)
		for _, name := range found {
			if !known[name] {
				t.Errorf("%s: there is no metric %s", file, name)
			}
		}
		if len(found) < 10 {
			t.Errorf("%s names %d metrics", file, len(found))
		}
	}
	tests := read(t, "deploy/alerts_test.yaml")
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, "deploy/alerts.yaml"), -1)
	for _, alert := range alerts {
		if !strings.Contains(tests, `alertname="`+alert[1]+`"`) {
			t.Errorf("no test expects the alert %s", alert[1])
		}
	}
	if len(alerts) != 11 {
		t.Errorf("%d alerts", len(alerts))
	}
}

// The Helm chart has the alerts.
func TestChartHasTheAlerts(t *testing.T) {
	t.Parallel()
	alerts := read(t, "deploy/alerts.yaml")
	const copied = "deploy/helm/dqbridge/alerts.yaml"
	switch {
	case read(t, copied) == alerts:
	case *update:
		if err := os.WriteFile("../"+copied, []byte(alerts), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not deploy/alerts.yaml: go test ./metrics -run TestChartHasTheAlerts -update", copied)
	}
}

// The dashboard is a JSON object whose panels have numbers of their own and expressions with labels
// of their metrics.
func TestDashboardIsWellFormed(t *testing.T) {
	t.Parallel()
	var dashboard struct {
		UID    string
		Panels []struct {
			ID      int
			Type    string
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{}
	for _, f := range append(newFleetFamilies().all(), newWorkerFamilies().all()...) {
		labels[f.name] = f.labels
	}
	ids, rows := map[int]bool{}, []string{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the number %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("panel %q has no expression", p.Title)
		}
		for _, target := range p.Targets {
			metric := strings.TrimSuffix(strings.TrimSuffix(used.FindString(target.Expr), "_bucket"), "_count")
			for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(labels[metric], label[1]) {
					t.Errorf("panel %q: %s has no label %s", p.Title, metric, label[1])
				}
			}
		}
	}
	if want := []string{"Flows", "Stages", "Workers", "Redis"}; !slices.Equal(rows, want) || dashboard.UID == "" {
		t.Errorf("the rows are %q", rows)
	}
}

const (
	tableBegin = "<!-- go test ./metrics -run TestPageListsMetrics -update -->\n"
	tableEnd   = "<!-- end -->\n"
)

// table returns the metrics as a table of Markdown.
func table() string {
	var b strings.Builder
	b.WriteString("\n| metric | type | labels | of | meaning |\n|---|---|---|---|---|\n")
	worker, fleet := newWorkerFamilies().all(), newFleetFamilies().all()
	has := func(all []family, name string) bool {
		return slices.ContainsFunc(all, func(f family) bool { return f.name == name })
	}
	all := slices.Concat(fleet, slices.DeleteFunc(slices.Clone(worker), func(f family) bool { return has(fleet, f.name) }))
	slices.SortFunc(all, func(a, b family) int { return strings.Compare(a.name, b.name) })
	for _, f := range all {
		var of []string
		if has(worker, f.name) {
			of = append(of, "worker")
		}
		if has(fleet, f.name) {
			of = append(of, "namespace")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), strings.Join(of, ", "), f.help)
	}
	return b.String() + "\n"
}

func TestPageListsMetrics(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/metrics.md")
	head, rest, _ := strings.Cut(page, tableBegin)
	_, tail, found := strings.Cut(rest, tableEnd)
	if !found {
		t.Fatal("docs/metrics.md has no place for the table")
	}
	want := head + tableBegin + table() + tableEnd + tail
	switch {
	case page == want:
	case *update:
		if err := os.WriteFile("../docs/metrics.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("the table of docs/metrics.md is not that of the code: go test ./metrics -run TestPageListsMetrics -update")
	}
}
