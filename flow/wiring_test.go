package flow_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestWrongWiringDoesNotCompile builds small programs: predicates, functions, functions with
// several outputs and sinks are different types.
func TestWrongWiringDoesNotCompile(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "build", "./testdata/wiring/...").CombinedOutput()
	if err == nil {
		t.Fatal("all programs compile")
	}
	errorsOf := map[string]string{}
	for _, section := range strings.Split("\n"+string(out), "\n# ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		errorsOf[name[strings.LastIndex(name, "/")+1:]] = text
	}
	for program, want := range map[string]string{
		"map_of_predicate":        "type workers.Predicate[int] of even does not match workers.Func[In, Out]",
		"filter_of_function":      "type workers.Func[int, int] of same does not match workers.Predicate[T]",
		"filter_of_bool_function": "type workers.Func[int, bool] of isOdd does not match workers.Predicate[T]",
		"filter_of_other_type":    "type *executor.Queue[string] of lines does not match inferred type *executor.Queue[int]",
		"submit_of_predicate":     "type workers.Predicate[int] of even does not match workers.Func[In, Out]",
		"option_of_gather":        "bridge.GatherOption",
		"map_of_flat_map":         "type workers.FlatFunc[string, int] of words does not match inferred type workers.Func[string, int]",
		"filter_of_flat_map":      "type workers.FlatFunc[string, int] of words does not match workers.Predicate[T]",
		"flat_map_of_function":    "type workers.Func[int, int] of same does not match inferred type workers.FlatFunc[int, int]",
		"flat_map_of_predicate":   "type workers.Predicate[int] of even does not match workers.FlatFunc[In, Out]",
		"flat_map_of_other_type":  "type *executor.Queue[int] of ints does not match inferred type *executor.Queue[string]",
		"map_of_sink":             "type workers.Sink[int] of store does not match workers.Func[In, Out]",
		"filter_of_sink":          "type workers.Sink[int] of store does not match inferred type workers.Predicate[int]",
		"flat_map_of_sink":        "type workers.Sink[int] of store does not match workers.FlatFunc[In, Out]",
		"each_of_function":        "type workers.Func[int, int] of same does not match workers.Sink[T]",
		"each_of_predicate":       "type workers.Predicate[int] of even does not match inferred type workers.Sink[int]",
		"each_of_flat_map":        "type workers.FlatFunc[string, int] of words does not match workers.Sink[T]",
		"each_of_other_type":      "type *executor.Queue[string] of lines does not match inferred type *executor.Queue[int]",
		"each_with_results":       "assignment mismatch",
	} {
		if text := errorsOf[program]; strings.Count(text, "main.go:") != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: %s", program, text)
		}
		delete(errorsOf, program)
	}
	if len(errorsOf) > 0 {
		t.Errorf("these programs should compile: %v", errorsOf)
	}
}
