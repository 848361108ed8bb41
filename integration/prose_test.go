package integration

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// A habit is a way to write that hides the subject of a sentence, and the number of its uses allowed
// in 1,000 words.
type habit struct {
	name  string
	uses  *regexp.Regexp
	not   *regexp.Regexp // uses that are allowed; nil: none
	limit float64
}

var habits = []habit{
	{
		name: `"what" as a noun`, limit: 1,
		uses: regexp.MustCompile(`(?i)\bwhat(?: (?:has|is|was|are|were|had|have|came|comes|it|they|one|a|the|there|can|may|must|will|[a-z]+(?:s|ed))\b|ever\b)`),
	},
	{name: `"nobody" and its like`, limit: 1, uses: regexp.MustCompile(`(?i)\b(?:nobody|somebody|nothing|everybody|anybody)\b`)},
	{
		name: `"where" for "if"`, limit: 0.3,
		uses: regexp.MustCompile(`(?i)(?:^|[.;:,(] |\band |\bor |\bbut )where (?:it|they|he|a|an|the|one|no|there|that|this|such|both|all|none|each|its)\b`),
	},
	{
		name: `"else" for "otherwise"`, limit: 0.3,
		uses: regexp.MustCompile(`(?i)\belse\b`),
		not:  regexp.MustCompile(`(?i)\b(?:something|anything|everything|someone|anyone|everyone|no one|somewhere|anywhere|if) else\b|\belse if\b`),
	},
	{
		name: `"who" as a subject`, limit: 0.2,
		uses: regexp.MustCompile(`(?i)(?:^|[.;:,(!?] |\b(?:and|or|of|by|to|for|from|with|but|whether|is|as|than|that|if|when|at|on) )(?:who|whoever|whom) [a-z]+`),
	},
}

// breaches returns the habits that a text has too often. A few uses are allowed in any text.
func breaches(text string) (names []string) {
	words := len(strings.Fields(text))
	for _, h := range habits {
		uses := len(h.uses.FindAllString(text, -1))
		if h.not != nil {
			uses -= len(h.not.FindAllString(text, -1))
		}
		if uses > 1 && float64(uses)*1000 > h.limit*float64(words) {
			names = append(names, h.name)
		}
	}
	return names
}

var (
	goComment  = regexp.MustCompile("^\\s*//\\s?(.*)|[^\":/`]\\s// (.*)$")
	luaComment = regexp.MustCompile(`^\s*--+\s?(.*)|\s-- (.*)$`)
	inlineCode = regexp.MustCompile("`[^`]*`")
)

// commentsOf returns the comments of a program as text, a line for each.
func commentsOf(form *regexp.Regexp, text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		if m := form.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			all.WriteString(m[1] + m[2] + " ")
		} else {
			all.WriteString("\n")
		}
	}
	return all.String()
}

// proseOf returns a page without its code.
func proseOf(text string) string {
	var all strings.Builder
	code := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
			code = !code
		} else if !code && !strings.HasPrefix(line, "    ") {
			all.WriteString(inlineCode.ReplaceAllString(strings.TrimRight(line, "\n"), "x") + " ")
		}
	}
	return all.String()
}

// Comments and pages name the subjects of their sentences.
func TestProse(t *testing.T) {
	t.Parallel()
	kinds := map[string]*strings.Builder{}
	add := func(kind, text string) {
		if kinds[kind] == nil {
			kinds[kind] = &strings.Builder{}
		}
		kinds[kind].WriteString(text + "\n")
	}
	err := walk(func(name string, text []byte) error {
		switch {
		case strings.Contains(name, "testdata/"):
		case strings.HasSuffix(name, "_test.go"):
			add("comments of tests", commentsOf(goComment, string(text)))
		case path.Ext(name) == ".go":
			add("comments", commentsOf(goComment, string(text)))
		case path.Ext(name) == ".lua":
			add("comments of scripts", commentsOf(luaComment, string(text)))
		case name == "README.md", path.Dir(name) == "docs", strings.HasPrefix(name, "docs/") && path.Ext(name) == ".md":
			add("pages", proseOf(string(text)))
		}
		return nil
	})
	if err != nil || len(kinds) != 4 {
		t.Fatalf("%d kinds of text, %v", len(kinds), err)
	}
	for kind, text := range kinds {
		for _, name := range breaches(text.String()) {
			t.Errorf("%s use %s too often: name the subject", kind, name)
		}
	}
}

// Without this test, a check that detects no breach would pass.
func TestProseBreachesAreDetected(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		`"what" as a noun`:       "What was stored is what comes back.",
		`"nobody" and its like`:  "Nobody waits, and nothing is lost.",
		`"where" for "if"`:       "Where it fails, and where there is no room, it waits.",
		`"else" for "otherwise"`: "It waits, or else fails. Else it ends.",
		`"who" as a subject`:     "Who waits is told, and who has left is not.",
	} {
		if got := breaches(text); len(got) != 1 || got[0] != want {
			t.Errorf("%q has %q", text, got)
		}
	}
	if got := breaches("If the queue is full, the sender waits. Somewhere else it does not."); got != nil {
		t.Errorf("plain text has %q", got)
	}
	if got := commentsOf(goComment, "// one\nx := 1 // two\n\t// three\n"); got != "one two three " {
		t.Errorf("the comments are %q", got)
	}
}
