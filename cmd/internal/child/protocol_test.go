package child

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/workers"
)

// exchange returns the example of the documentation: the output of the child and of the worker.
func exchange(t *testing.T) (child, worker [][]byte) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/children.md")
	_, block, ok := strings.Cut(string(page), "```exchange\n")
	if err != nil || !ok {
		t.Fatal("the page has no exchange", err)
	}
	block, _, _ = strings.Cut(block, "```")
	for line := range strings.Lines(block) {
		text := strings.TrimSpace(line[2:])
		bytes := []byte(text + "\n")
		if !strings.HasPrefix(text, "{") {
			if bytes, err = hex.DecodeString(strings.ReplaceAll(text, " ", "")); err != nil {
				t.Fatal(err)
			}
		}
		if line[0] == '<' {
			child = append(child, bytes)
		} else {
			worker = append(worker, bytes)
		}
	}
	return child, worker
}

func TestExchangeOfTheDocumentation(t *testing.T) {
	child, worker := exchange(t)
	var first hello
	if err := readLine(bufio.NewReader(bytes.NewReader(child[0])), &first); err != nil || first.V != 1 || len(first.Functions) != 1 ||
		first.Functions[0] != (function{"upper", "string", "raw", "string", "raw", 0}) {
		t.Errorf("hello is %+v, %v", first, err)
	}
	var frame batch.Builder
	for _, item := range []string{"ab", "", "cde"} {
		frame.Value([]byte(item))
	}
	line, err := json.Marshal(request{
		Call: 1, Function: "upper", Items: 3, Bytes: frame.Size(), Queue: "words", Source: "file-7", Offset: 12, Attempt: 1, Deadline: 1790000000000,
	})
	if err != nil || string(line)+"\n" != string(worker[0]) || !bytes.Equal(frame.Take(), worker[1]) {
		t.Errorf("the call is %s, %v", line, err)
	}
	results, failed, err := readReply(bufio.NewReader(bytes.NewReader(append(child[1], child[2]...))), 1, 3)
	some, _ := errors.AsType[workers.Errors](failed)
	if err != nil || len(results) != 3 || string(results[0]) != "AB" || string(results[2]) != "CDE" || len(some) != 1 || some[1].Error() != "empty text" {
		t.Errorf("the answer is %q, %v, %v", results, failed, err)
	}
}

func TestInvalidRepliesAreProtocolErrors(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":      "hi\n",
		"another call": `{"call":2,"items":1,"bytes":1}` + "\n\x01",
		"too few":      `{"call":1,"items":0,"bytes":1}` + "\n\x01",
		"no frame":     `{"call":1,"items":1,"bytes":0}` + "\n",
		"too large":    `{"call":1,"items":1,"bytes":1000000000000}` + "\n",
		"an item less": `{"call":1,"items":1,"bytes":1}` + "\n\x01",
		"an item more": `{"call":1,"items":1,"bytes":3}` + "\n\x01\x00\x00",
		"cut":          `{"call":1,"items":1,"bytes":2}` + "\n\x01\x04",
		"another byte": `{"call":1,"items":1,"bytes":2}` + "\n\x02\x00",
		"a long line":  strings.Repeat("x", 2<<20),
	} {
		_, failed, err := readReply(bufio.NewReader(strings.NewReader(text)), 1, 1)
		if !errors.Is(err, errProtocol) || failed != nil {
			t.Errorf("%s: %v, %v", name, failed, err)
		}
	}
}
