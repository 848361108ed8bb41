package api_test

import (
	"net/http"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dqbridge/dqbridge/internal/api"
	"github.com/dqbridge/dqbridge/internal/scale"
)

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Each route has a row in docs/api.md, whose request is answered.
func TestDocumentedRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	h, seen := handler(), map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `GET (/api/v1/\\S+)` \\|").FindAllStringSubmatch(page(t, "api.md"), -1) {
		request, err := url.Parse(row[1])
		if err != nil {
			t.Fatal(err)
		}
		known := request.Path == api.Prefix+"events"
		for _, route := range api.Routes() {
			if ok, _ := path.Match(parameter.ReplaceAllString(route.Path, "*"), request.Path); ok {
				seen[route.Path], known = true, true
				if w := get(t, h, row[1]); w.Code != http.StatusOK {
					t.Errorf("%s: %d %s", row[1], w.Code, w.Body)
				}
				for name := range request.Query() {
					if !strings.Contains(" "+strings.Join(route.Query, " ")+" ", " "+name+" ") {
						t.Errorf("%s: the route does not take %s", row[1], name)
					}
				}
			}
		}
		if !known {
			t.Errorf("%s: there is no such route", row[1])
		}
	}
	for _, route := range api.Routes() {
		if !seen[route.Path] {
			t.Errorf("docs/api.md has no row for %s", route.Path)
		}
	}
}

// The examples of the pages show what the routes answer.
func TestExamplesAreAnswers(t *testing.T) {
	t.Parallel()
	examples := regexp.MustCompile(`(?m)^\$ curl -s 'http://127\.0\.0\.1:8787(\S+)'\n(.*)$`)
	n := 0
	for _, name := range []string{"api.md", "autoscaling.md"} {
		for _, example := range examples.FindAllStringSubmatch(page(t, name), -1) {
			n++
			if got := strings.TrimSpace(get(t, handler(), example[1]).Body.String()); got != example[2] {
				t.Errorf("%s: %s answers\n%s\nnot\n%s", name, example[1], got, example[2])
			}
		}
	}
	if n != 4 {
		t.Errorf("the pages have %d examples", n)
	}
}

// The object for KEDA asks for a number that the API answers.
func TestObjectForKEDA(t *testing.T) {
	t.Parallel()
	_, block, _ := strings.Cut(page(t, "autoscaling.md"), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	var scaled struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name string }
		Spec       struct {
			ScaleTargetRef  struct{ Name string } `yaml:"scaleTargetRef"`
			MinReplicaCount int                   `yaml:"minReplicaCount"`
			MaxReplicaCount int                   `yaml:"maxReplicaCount"`
			PollingInterval int                   `yaml:"pollingInterval"`
			Triggers        []struct {
				Type       string
				MetricType string `yaml:"metricType"`
				Metadata   map[string]string
				Auth       struct{ Name string } `yaml:"authenticationRef"`
			}
		}
	}
	dec := yaml.NewDecoder(strings.NewReader(block))
	dec.KnownFields(true)
	if err := dec.Decode(&scaled); err != nil || len(scaled.Spec.Triggers) != 1 {
		t.Fatalf("%v: %+v", err, scaled)
	}
	trigger := scaled.Spec.Triggers[0]
	if scaled.Kind != "ScaledObject" || trigger.Type != "metrics-api" || trigger.Metadata["targetValue"] != "1" || trigger.Metadata["valueLocation"] != "workers" ||
		trigger.Metadata["authMode"] != "bearer" || trigger.Auth.Name == "" {
		t.Errorf("the object is %+v", scaled)
	}
	address, err := url.Parse(trigger.Metadata["url"])
	if err != nil {
		t.Fatal(err)
	}
	w := get(t, handler(), address.RequestURI())
	if w.Code != http.StatusOK || decoded[scale.Decision](t, w).Workers != 25 {
		t.Errorf("%s: %d %s", address, w.Code, w.Body)
	}
	if most := address.Query().Get("max"); most != "50" || scaled.Spec.MaxReplicaCount != 50 {
		t.Errorf("max is %s, and maxReplicaCount %d", most, scaled.Spec.MaxReplicaCount)
	}
}
