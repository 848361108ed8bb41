package batch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile is an error whose text cannot be made: its method panics with itself.
type hostile struct{}

func (h hostile) Error() string { panic(h) }

type mute struct{}

func (mute) Error() string { return "" }

func TestTexts(t *testing.T) {
	for want, v := range map[string]any{
		"plain": errors.New("plain"), "7": 7, "<nil>": nil,
		"a batch.hostile whose text cannot be made":   hostile{},
		"an error without a text, of type batch.mute": mute{},
	} {
		if got := Text(v); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for pad := range 4 {
		got := Text(strings.Repeat("x", pad) + strings.Repeat("😀", 3000))
		if len(got) < maxText-4 || len(got) > maxText+3 || !utf8.ValidString(got) || !strings.HasSuffix(got, "😀...") {
			t.Errorf("%d bytes, the end is %q", len(got), got[len(got)-9:])
		}
	}
	if got := truncate(strings.Repeat("\x80", 99), 50); len(got) > 53 || len(got) < 49 {
		t.Errorf("got %q", got)
	}
}

func explode(depth int) int {
	if depth == 0 {
		panic(hostile{})
	}
	return 1 + explode(depth-1)
}

func crash(depth int) (err error) {
	defer func() { err = fmt.Errorf("wrapped: %w", NewCrash("the code", recover())) }()
	explode(depth)
	return nil
}

func TestCrashHasTextAndStack(t *testing.T) {
	for _, depth := range []int{0, 500} {
		err := crash(depth)
		text, stack := Describe(err)
		if text != "the code panicked: a batch.hostile whose text cannot be made" {
			t.Errorf("text %q", text)
		}
		if !strings.HasPrefix(stack, "github.com/dqbridge/dqbridge/internal/batch.explode(") || len(stack) > maxStack+3 {
			t.Errorf("a stack of %d bytes: %q", len(stack), stack)
		}
		if got := err.Error(); got != "wrapped: "+text+"\n\n"+stack {
			t.Errorf("error %q", got)
		}
	}
	if text, stack := Describe(errors.New("no crash")); text != "no crash" || stack != "" {
		t.Errorf("%q, %q", text, stack)
	}
}
