package bridge_test

import (
	"os"
	"strings"
	"testing"
)

// The quick start of the README is the code of Example, word for word.
func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(source), "func Example() {\n")
	body, _, ended := strings.Cut(body, "\t// Output:")
	if !found || !ended {
		t.Fatal("example_test.go has no Example with an output")
	}
	code := strings.ReplaceAll("\n"+body, "\n\t", "\n")
	if want := "```go" + code + "```\n"; !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not have the code of Example:\n%s", want)
	}
}
