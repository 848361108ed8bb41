package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// traced runs a command with variables, and returns its stdout and stderr.
func traced(t *testing.T, stdin, vars string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, told bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), strings.Fields(vars)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &told
	err = cmd.Run()
	return out.String(), told.String(), err
}

// spansOf returns the names of the spans of the console exporter in a text, and their traces.
func spansOf(t *testing.T, text string) (names, traces []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		var span struct {
			Name        string
			SpanContext struct{ TraceID string }
		}
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &span); err != nil {
				t.Fatal(err)
			}
			names, traces = append(names, span.Name), append(traces, span.SpanContext.TraceID)
		}
	}
	return names, traces
}

// One trace leads from the scatter over the worker to the gather, three processes.
func TestCommandsShareATrace(t *testing.T) {
	t.Parallel()
	const vars = "OTEL_TRACES_EXPORTER=console"
	url := testkit.StartRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	out, scattered, err := traced(t, "1\n2\n", vars, "dqbridge", "scatter", "--seal", "--redis", url, "in")
	if err != nil || out != "" {
		t.Fatalf("%v, stdout %q: %s", err, out, scattered)
	}
	told := file(t)
	worker := exec.Command("dqworker", "--redis", url, "--fn", "double=exec:echo {}{}")
	worker.Env, worker.Stderr = append(os.Environ(), vars), told
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	if _, text, err := traced(t, "", "", "dqbridge", "map", "--redis", url, "double", "in", "out"); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, gathered, err := traced(t, "", vars, "dqbridge", "gather", "--redis", url, "out")
	if err != nil || out != "11\n22\n" {
		t.Errorf("%v, stdout %q: %s", err, out, gathered)
	}
	if err := worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err != nil {
		t.Error(err)
	}
	worked, err := os.ReadFile(told.Name())
	if err != nil {
		t.Fatal(err)
	}
	sends, traces := spansOf(t, scattered)
	if !slices.Contains(sends, "dqbridge scatter") || !slices.Contains(sends, "send in") {
		t.Fatalf("the spans of the scatter are %q: %s", sends, scattered)
	}
	for name, text := range map[string]string{"process double": string(worked), "receive out": gathered} {
		names, found := spansOf(t, text)
		if at := slices.Index(names, name); at < 0 || found[at] != traces[0] {
			t.Errorf("the spans %q with %s are not in the trace %s: %q", names, name, traces[0], found)
		}
	}
}

// Without a variable there is no span, and a wrong variable is a mistake of the command line.
func TestTracesAreOffOrAsAsked(t *testing.T) {
	t.Parallel()
	for vars, want := range map[string]string{
		"":                             "",
		"OTEL_TRACES_EXPORTER=none":    "",
		"OTEL_TRACES_EXPORTER=console": `"Name":"dqbridge run"`,
		"OTEL_TRACES_EXPORTER=console OTEL_SDK_DISABLED=true":                                "",
		"OTEL_METRICS_EXPORTER=console":                                                      `"Name":"messaging.client.sent.messages"`,
		"OTEL_METRICS_EXPORTER=zipkin":                                                       `OTEL_METRICS_EXPORTER is "zipkin": the commands have otlp, console and none`,
		"OTEL_TRACES_EXPORTER=zipkin":                                                        `dqbridge: OTEL_TRACES_EXPORTER is "zipkin": the commands have otlp, console and none`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=localhost:4318":                                         `OTEL_EXPORTER_OTLP_ENDPOINT is no URL such as http://127.0.0.1:4318`,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc": `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": the commands have http/protobuf`,
		"OTEL_TRACES_EXPORTER=console OTEL_TRACES_SAMPLER=sometimes":                         `OTEL_TRACES_SAMPLER is "sometimes"`,
		"OTEL_TRACES_EXPORTER=console OTEL_TRACES_SAMPLER=always_off":                        "",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1 OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=1000 OTEL_EXPORTER_OTLP_METRICS_TIMEOUT=1000": "not exported",
	} {
		t.Run(vars, func(t *testing.T) {
			t.Parallel()
			out, told, err := traced(t, "a\n", vars, "dqbridge", "run", "--fn", "same=exec:cat", "same")
			usage := strings.Contains(want, " is ")
			if !strings.Contains(told, want) || want == "" && told != "" {
				t.Errorf("stderr is %s", told)
			}
			var status *exec.ExitError
			if usage && (!errors.As(err, &status) || status.ExitCode() != 2) || !usage && (err != nil || out != "a\n") {
				t.Errorf("stdout is %q, %v", out, err)
			}
		})
	}
}
