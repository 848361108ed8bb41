package broker

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A scriptHeader is the contract at the head of a script, as docs/protocol.md explains it.
type scriptHeader struct {
	Name    string     `json:"name"`
	Summary string     `json:"summary"`
	Keys    []position `json:"keys"`
	Args    []position `json:"args"`
	Replies []form     `json:"replies"`
	Fields  []meaning  `json:"fields,omitempty"` // names in the forms of repeating keys, arguments and replies
	Words   []meaning  `json:"words,omitempty"`  // of replies
	Errors  []meaning  `json:"errors,omitempty"` // of Redis that only this script meets
}

// A position is one of KEYS or ARGV. With Repeats, Form is for all from the position on.
type position struct {
	Index   int    `json:"index"`
	Name    string `json:"name"`
	Repeats bool   `json:"repeats,omitempty"`
	Form    string `json:"form,omitempty"` // of a key, its pattern
	Meaning string `json:"meaning,omitempty"`
}

// A form is one of the replies.
type form struct {
	Form    string `json:"form"`
	Meaning string `json:"meaning,omitempty"`
}

type meaning struct {
	Name    string `json:"name"`
	Meaning string `json:"meaning"`
}

var (
	titleLine    = regexp.MustCompile(`^(\w+)\.lua: (\S.*)$`)
	positionLine = regexp.MustCompile(`^(KEYS|ARGV) (\d+)(\+?) (\w+)$`)
	meaningLine  = regexp.MustCompile(`^(field|word|error) (\S+)$`)
	separator    = regexp.MustCompile(` {2,}`)
	literal      = regexp.MustCompile(`(KEYS|ARGV)\[(\d+)\]`)
	formName     = regexp.MustCompile(`[a-z_]+`)
	formWord     = regexp.MustCompile(`'[a-z]+'`)
	formPattern  = regexp.MustCompile(`\w+:<[^>]+>|'[^']*'`)
	formKey      = regexp.MustCompile(`^\w+(:<[a-z ]+>)?$`)
	continued    = regexp.MustCompile(`\n-- {3,}`)
)

// cutHeader splits a script into its header, a string for each part of it, and its body without comments.
func cutHeader(text string) (parts []string, body string) {
	lines := strings.Split(text, "\n")
	end := slices.IndexFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "--") })
	head := continued.ReplaceAllString(strings.Join(lines[:max(0, end)], "\n"), " ")
	for line := range strings.SplitSeq(head, "\n") {
		parts = append(parts, strings.TrimPrefix(line, "-- "))
	}
	var code strings.Builder
	for _, line := range lines[max(0, end):] {
		line, _, _ = strings.Cut(line, "--")
		code.WriteString(line + "\n")
	}
	return parts, code.String()
}

// parseHeader reads the header of a script. It returns each breach of the form, and each difference from the body.
func parseHeader(text string) (h scriptHeader, breaches []string) {
	parts, body := cutHeader(text)
	title := titleLine.FindStringSubmatch(parts[0])
	if title == nil {
		return h, []string{"its first line is not -- NAME.lua: SUMMARY"}
	}
	h.Name, h.Summary = title[1], title[2]
	for _, part := range parts[1:] {
		if why := h.add(separator.Split(part, -1)); why != "" {
			breaches = append(breaches, why+": "+part)
		}
	}
	if len(h.Replies) == 0 {
		breaches = append(breaches, "it has no reply")
	}
	return h, slices.Concat(breaches, h.compareNames(), comparePositions("KEYS", h.Keys, body), comparePositions("ARGV", h.Args, body), h.compareWords(body))
}

// add reads a part of a header, of which columns are separated by two spaces.
func (h *scriptHeader) add(columns []string) (breach string) {
	first, rest := columns[0], columns[1:]
	if reply, ok := strings.CutPrefix(first, "reply "); ok && len(rest) <= 1 {
		h.Replies = append(h.Replies, form{reply, strings.Join(rest, "")})
		return ""
	}
	if m := meaningLine.FindStringSubmatch(first); m != nil && len(rest) == 1 {
		list := map[string]*[]meaning{"field": &h.Fields, "word": &h.Words, "error": &h.Errors}[m[1]]
		*list = append(*list, meaning{m[2], rest[0]})
		return ""
	}
	m := positionLine.FindStringSubmatch(first)
	if m == nil || len(rest) == 0 || len(rest) > 2 {
		return "not a part of a header"
	}
	n, _ := strconv.Atoi(m[2])
	p := position{Index: n, Name: m[4], Repeats: m[3] == "+"}
	if list := &h.Keys; m[1] == "KEYS" {
		p.Form, p.Meaning = rest[0], strings.Join(rest[1:], "")
		return appendPosition(list, p, !p.Repeats && !isKey(p.Form))
	}
	if p.Repeats {
		p.Form, rest = rest[0], rest[1:]
	}
	p.Meaning = strings.Join(rest, "")
	return appendPosition(&h.Args, p, len(rest) > 1)
}

func isKey(form string) bool {
	return !slices.ContainsFunc(strings.Split(form, "|"), func(key string) bool { return !formKey.MatchString(key) })
}

func appendPosition(list *[]position, p position, malformed bool) (breach string) {
	if malformed {
		return "malformed columns"
	}
	before := len(*list)
	if p.Index != before+1 || before > 0 && (*list)[before-1].Repeats {
		return "not the next number"
	}
	*list = append(*list, p)
	return ""
}

// compareNames wants each name in a form to be explained, and each explained name to be in a form.
func (h scriptHeader) compareNames() (breaches []string) {
	used := map[string]bool{}
	note := func(text string) {
		for _, name := range formName.FindAllString(formPattern.ReplaceAllString(text, ""), -1) {
			used[name] = true
		}
	}
	for _, p := range slices.Concat(h.Keys, h.Args) {
		if p.Repeats {
			note(p.Form)
		}
	}
	for _, r := range h.Replies {
		if strings.HasPrefix(r.Form, "[") || r.Meaning == "" {
			note(r.Form)
		}
	}
	explained := map[string]bool{}
	for _, f := range h.Fields {
		explained[f.Name] = true
		if !used[f.Name] {
			breaches = append(breaches, "field "+f.Name+" is in no form")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if !explained[name] && (name != "status" || len(h.Words) == 0) {
			breaches = append(breaches, name+" is in a form, and no field explains it")
		}
	}
	return breaches
}

// comparePositions wants the keys or arguments of the header to be those that the body uses.
func comparePositions(kind string, all []position, body string) (breaches []string) {
	fixed, repeats := len(all), false
	if fixed > 0 && all[fixed-1].Repeats {
		fixed, repeats = fixed-1, true
	}
	used := map[int]bool{}
	for _, use := range literal.FindAllStringSubmatch(body, -1) {
		if n, _ := strconv.Atoi(use[2]); use[1] == kind {
			if used[n] = true; n > fixed && !repeats {
				breaches = append(breaches, use[0]+" is used and not documented")
			}
		}
	}
	for n := 1; n <= fixed; n++ {
		if !used[n] {
			breaches = append(breaches, fmt.Sprintf("%s[%d] is documented and not used", kind, n))
		}
	}
	walks := strings.Contains(literal.ReplaceAllString(body, ""), kind)
	if walks && !repeats {
		breaches = append(breaches, kind+" is walked and no repeating part is documented")
	}
	if repeats && !walks && !used[fixed+1] {
		breaches = append(breaches, kind+" is not walked and a repeating part is documented")
	}
	return breaches
}

// replyWord is a text that a script may return: it stands at the place of a value, is not the kind of an entry and no
// argument of a command.
var (
	replyWord = regexp.MustCompile(`(?:return |\{|and |or |status = |refuse\(e, )'([a-z]+)'`)
	kindLine  = regexp.MustCompile(`(?m)^ *local kind = .*$`)
	command   = regexp.MustCompile(`redis\.call\(.*\)`)
)

// compareWords wants the words of the header, those of its forms among them, to be those that the body returns.
func (h scriptHeader) compareWords(body string) (breaches []string) {
	body = command.ReplaceAllString(kindLine.ReplaceAllString(body, ""), "")
	returned := map[string]bool{}
	for _, word := range replyWord.FindAllStringSubmatch(body, -1) {
		returned[word[1]] = true
	}
	explained := map[string]bool{}
	for _, w := range h.Words {
		explained[w.Name] = true
		if !returned[w.Name] {
			breaches = append(breaches, "the word "+w.Name+" is documented and not returned")
		}
	}
	for _, r := range h.Replies {
		for _, word := range formWord.FindAllString(r.Form, -1) {
			returned[strings.Trim(word, "'")] = true
		}
	}
	for _, word := range slices.Sorted(maps.Keys(returned)) {
		if !explained[word] {
			breaches = append(breaches, "the word "+word+" is returned and not documented")
		}
	}
	return breaches
}

// luaFiles are the texts of the scripts by their names, without the libraries.
func luaFiles(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("lua/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name := strings.TrimSuffix(filepath.Base(path), ".lua"); name != "lib" && name != "lib_limits" && name != "lib_rings" {
			files[name] = string(text)
		}
	}
	return files
}

func TestScriptHeadersMatchBodies(t *testing.T) {
	t.Parallel()
	for name, text := range luaFiles(t) {
		h, breaches := parseHeader(text)
		if h.Name != name {
			t.Errorf("%s.lua: its title names %q", name, h.Name)
		}
		for _, breach := range breaches {
			t.Errorf("%s.lua: %s", name, breach)
		}
	}
}

// A check that finds no breach at all would pass the scripts too.
func TestBreachesOfHeadersAreSeen(t *testing.T) {
	t.Parallel()
	good := `-- x.lua: does
--   it
-- KEYS 1 meta  m:<queue>  of it
-- ARGV 1 name  its name
-- ARGV 2+ more  {id}*  for each
-- field id  of one
-- reply [status, {id}*]  a list
-- reply 'gone'
-- word ok  it is done
-- word gone  it is gone
redis.call('HSET', KEYS[1], ARGV[1], #ARGV) -- not KEYS[7]
if x == 'other' then return 'gone' end
return {'ok'}
`
	h, breaches := parseHeader(good)
	if breaches != nil || h.Summary != "does it" || h.Keys[0].Form != "m:<queue>" || h.Keys[0].Meaning != "of it" || !h.Args[1].Repeats {
		t.Fatalf("a good header is read as %+v: %q", h, breaches)
	}
	for _, change := range [][2]string{
		{"x.lua:", "x.lua"}, {"KEYS 1 ", "KEYS 2 "}, {"  m:<queue>", "  M!"}, {"-- reply", "-- answer"}, {"KEYS[1]", "KEYS[2]"},
		{"KEYS[1]", "KEYS[i]"}, {"-- KEYS 1 meta  m:<queue>  of it\n", ""}, {"2+ more  {id}*", "2 more"}, {"2+", "3+"},
		{"#ARGV", "1"}, {"-- field id  of one\n", ""}, {"{id}*]", "{of}*]"}, {"field id", "field no"},
		{"-- word ok  it is done\n", ""}, {"word gone", "word went"}, {"return 'gone'", "return 'lost'"}, {"reply 'gone'", "reply 'away'"},
		{"  it is done", ""}, {"-- ARGV 1 name", "-- name"},
	} {
		if _, breaches := parseHeader(strings.Replace(good, change[0], change[1], 1)); breaches == nil {
			t.Errorf("%q in the place of %q is not seen", change[1], change[0])
		}
	}
}
