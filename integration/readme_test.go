package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// codeBlocks returns the code blocks of a page in one language.
func codeBlocks(t *testing.T, page, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// The library program of the README is also in examples, and prints the block that follows it.
func TestReadmeProgramRuns(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join(root, "examples/quickstart/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(source), "package main\n")
	blocks := codeBlocks(t, "README.md", "go")
	if len(blocks) != 3 || blocks[0] != "package main\n"+program {
		t.Errorf("the first of %d Go blocks of README.md is not examples/quickstart/main.go", len(blocks))
	}
	run := exec.CommandContext(t.Context(), "go", "run", "./examples/quickstart")
	run.Dir = root
	got, err := run.Output()
	if want := codeBlocks(t, "README.md", "text"); err != nil || len(want) != 1 || string(got) != want[0] {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// The other Go blocks of the README are parts of examples that the tests run or build.
func TestReadmeShowsExamples(t *testing.T) {
	t.Parallel()
	for block, file := range map[int]string{1: "workers/readme_test.go", 2: "dqtest/example_test.go"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		code := strings.TrimSpace(codeBlocks(t, "README.md", "go")[block])
		flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		if !strings.Contains(flat(string(text)), flat(code)) {
			t.Errorf("%s has no\n%s", file, code)
		}
	}
}

// The commands of the README that need no other program print these lines.
func TestReadmeCommandsRun(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for start, want := range map[string]string{
		"seq 10 |":      "4\n6\n8\n10\n12\n14\n16\n18\n20\n22\n",
		"seq 1000000 |": "b\nc\nd\n",
	} {
		command := regexp.MustCompile(`(?m)^    (` + regexp.QuoteMeta(start) + `.*?)(?:  +#.*)?$`).FindStringSubmatch(string(text))
		if command == nil {
			t.Errorf("README.md has no command that begins with %s", start)
			continue
		}
		run := exec.CommandContext(t.Context(), "sh", "-c", command[1])
		run.Dir = root
		got, err := run.Output()
		if err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s: got %.60q, %v", command[1], got, err)
		}
	}
}
