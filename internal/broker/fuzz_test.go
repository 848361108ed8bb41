package broker

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// slotTag returns the part of a key that Redis hashes: the text between the first brace and the
// next closing one.
func slotTag(key string) string {
	_, behind, open := strings.Cut(key, "{")
	tag, _, closed := strings.Cut(behind, "}")
	if !open || !closed || tag == "" {
		return key
	}
	return tag
}

func FuzzNames(f *testing.F) {
	for _, seed := range []string{"orders", "a.b-c_d", "{", "}", "{a}", "a}b{c", "", "a b", "a~0", "\x00", "é", strings.Repeat("n", 65), "a\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if CheckName("queue", name) != nil {
			return
		}
		k := keys{"{" + name + ":0}:"}
		for _, key := range []string{
			k.stream(name), k.returns(name), k.meta(name), k.wait(name), k.watch(name), k.sources(name), k.source(name + "~0"),
			k.payload(name), k.owned(name), k.mailbox(name), k.card(RoleWorker, name), k.streamOf(StreamRef{Queue: name}), k.stages(), k.queues(),
			k.suspects(name), k.delayed(name), k.card(RoleExecutor, name), k.registry(RoleWorker), k.registry(RoleExecutor),
			k.due(), k.dead(), k.fenced(), k.watcher(), k.space(), k.places(),
		} {
			if slotTag(key) != name+":0" {
				t.Fatalf("the name %q moves the key %q to the slot of %q", name, key, slotTag(key))
			}
		}
	})
}

// Arbitrary entries are parsed without a panic, and in no more memory than they have.
func FuzzEntries(f *testing.F) {
	f.Add("1-1", "s", "evil", "o", "9223372036854775807", "n", "-1")
	f.Add("", "p", "\x01\xff\xff\xff", "e", "{", "f", "")
	f.Add("x", "k", "99999999999999999999", "a", "1e9", "c", "\xff")
	f.Fuzz(func(t *testing.T, id, a, b, c, d, e, g string) {
		for _, raw := range []any{
			[]any{id, []any{a, b, c, d, e, g}}, []any{id, []any{a, b, c}}, []any{id}, []any{}, nil, id, int64(1),
			[]any{int64(1), id}, []any{id, []any{[]any{a}, nil, int64(3), b}},
		} {
			for _, entry := range entriesOf(StreamRef{Queue: "q"}, list{raw, raw}) {
				_, _ = entry.CheckRange(), entry.Check()
				if len(entry.Frame) > len(b)+len(d)+len(g) {
					t.Fatalf("a frame of %d bytes", len(entry.Frame))
				}
			}
			_ = deadLetterOf(asList(raw))
			_ = queueOf("q", asList(raw).fields())
		}
	})
}

// Records of stages and cards are JSON from other programs. A parsed record is not larger than its
// text, and stays the same when it is encoded and parsed again.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"v":1,"ins":[{}],"outs":[null]}`, `{"v":1,"seq":1e99}`, `[{"name":"a"}]`, `{"v":1,"ins":null}`, strings.Repeat("[", 20_000),
		`["a","a~0"]`, `[{"name":"\ud800","in":""},null]`, `{"v":1,"id":"a","timeout":-1,"retries":-9,"ins":[{"q":"a"}],"outs":[{"q":"b","max":1}]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, record string) {
		if s, ok := readAgain[Stage](t, record); ok {
			if got := len(s.queues()); got > len(record) {
				t.Fatalf("%q makes a stage of %d queues", record, got)
			}
		}
		_, _ = readAgain[[]FunctionCard](t, record)
		q := queueOf("q", map[string]string{"from": record, "max": record, "s:": record, "s:s": record})
		if len(q.From) > len(record) || len(q.stages) != 2 || q.stages[1] != "s" {
			t.Fatalf("%q makes the queue %+v", record, q)
		}
		root, branch := Root(record)
		if root+branch != record || strings.Contains(root, "~") {
			t.Fatalf("%q is %q and %q", record, root, branch)
		}
	})
}

// readAgain parses a record, and parses its encoded form again.
func readAgain[T any](t *testing.T, record string) (v T, ok bool) {
	t.Helper()
	if json.Unmarshal([]byte(record), &v) != nil {
		return v, false
	}
	text, err := json.Marshal(v)
	var again T
	if err == nil {
		err = json.Unmarshal(text, &again)
	}
	twice, err2 := json.Marshal(again)
	if err != nil || err2 != nil || string(twice) != string(text) {
		t.Fatalf("%q is %s, and read again %s, %v, %v", record, text, twice, err, err2)
	}
	return v, true
}

// The error for an invalid address does not contain its password.
func FuzzAddresses(f *testing.F) {
	for _, seed := range []string{"redis://u:%s@h", "redis://u:/%s@h", "rediss://:%s@h:1/2?ns=a", "redis+sentinel://u:%s@h,h/m", "u:%s@h", "redis://u:1?%s@h"} {
		f.Add(seed)
	}
	const password = "S3CR3Tx"
	f.Fuzz(func(t *testing.T, form string) {
		form = strings.ReplaceAll(form, "S", "s") // no secret in the form itself
		before, behind, found := strings.Cut(form, "%s@")
		_, user, _ := strings.Cut(before, "://")
		if !found || !strings.Contains(user, ":") || strings.Contains(user, "@") {
			return
		}
		parsed, err := parseURL(before + password + "@" + behind)
		if err != nil && !errors.Is(err, ErrInvalidURL) {
			t.Fatalf("%v is no ErrInvalidURL", err)
		}
		if err != nil && strings.Contains(err.Error(), password) || strings.Contains(parsed.label, password) {
			t.Fatalf("%q: %v, %s", form, err, parsed.label)
		}
	})
}
