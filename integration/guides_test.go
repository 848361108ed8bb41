package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A block is one code block of a guide.
type block struct {
	language, text string
	plant          string // the name in the HTML comment before it, see plants
}

var (
	fence     = regexp.MustCompile("(?ms)(?:^<!-- plant: (\\S+) -->\n+)?^```(\\w*)\n(.*?)^```$")
	excerpt   = regexp.MustCompile(`^// (\S+\.\w+)\n`)
	codeText  = regexp.MustCompile("(?s)```.*?```|`[^`]*`")
	guideLink = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// operating is the page of operators, which is longer than a guide.
const operating = "operating"

// guides returns the blocks of each guide and of the page of operators, by the path in docs.
func guides(t *testing.T) map[string][]block {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "docs/guides/*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d guides, %v", len(pages), err)
	}
	pages = append(pages, filepath.Join(root, "docs", operating+".md"))
	all := map[string][]block{}
	for _, page := range pages {
		text := read(t, page)
		var blocks []block
		for _, found := range fence.FindAllStringSubmatch(text, -1) {
			blocks = append(blocks, block{found[2], found[3], found[1]})
		}
		if strings.Count(text, "```") != 2*len(blocks) {
			t.Errorf("%s: a code block is not in its form", page)
		}
		name, err := filepath.Rel(filepath.Join(root, "docs"), strings.TrimSuffix(page, ".md"))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = blocks
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A Go block of a guide names a file of the project and is a part of it; a Python block is a part of the comments of the
// walkthrough. Each console block is run by TestGuideSessions.
func TestGuidesShowExamples(t *testing.T) {
	t.Parallel()
	comments := regexp.MustCompile(`(?m)^\t*// ?`)
	walkthrough := comments.ReplaceAllString(read(t, filepath.Join(root, "examples/walkthrough/main.go")), "")
	for guide, blocks := range guides(t) {
		for _, b := range blocks {
			switch b.language {
			case "go":
				head := excerpt.FindStringSubmatch(b.text)
				if head == nil {
					t.Errorf("%s: a Go block names no file:\n%s", guide, b.text)
				} else if part := strings.TrimPrefix(b.text, head[0]); !strings.Contains(read(t, filepath.Join(root, head[1])), part) {
					t.Errorf("%s: %s has no\n%s", guide, head[1], part)
				}
			case "python":
				for line := range strings.Lines(b.text) {
					if !strings.Contains(walkthrough, strings.TrimSpace(line)) {
						t.Errorf("%s: the walkthrough has no %q", guide, line)
					}
				}
			case "console":
			default:
				t.Errorf("%s: a block in %q is checked by no test", guide, b.language)
			}
		}
	}
}

// Guides have 60 to 150 lines, the page of operators up to 250; they have links that lead to files, and a link from the README.
func TestGuidesAreLinked(t *testing.T) {
	t.Parallel()
	readme := read(t, filepath.Join(root, "README.md"))
	for guide := range guides(t) {
		page := filepath.Join(root, "docs", guide+".md")
		text, most := read(t, page), 150
		if guide == operating {
			most = 250
		}
		if n := strings.Count(text, "\n"); n < 60 || n > most {
			t.Errorf("%s has %d lines", guide, n)
		}
		if !strings.Contains(readme, "docs/"+guide+".md") {
			t.Errorf("the README has no link to %s", guide)
		}
		for _, link := range guideLink.FindAllStringSubmatch(codeText.ReplaceAllString(text, ""), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link[1])); err != nil {
				t.Errorf("%s: %v", guide, err)
			}
		}
	}
}
