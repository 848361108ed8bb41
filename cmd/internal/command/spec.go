package command

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/internal/nearest"
)

// A Kind is the way in which items reach a command.
type Kind string

// The kinds of commands.
const (
	Exec   Kind = "exec"   // a process for each item, with the item as a line of stdin
	Exec0  Kind = "exec0"  // the same, without a newline after the item
	Filter Kind = "filter" // as Exec: the exit status tells whether the item is kept
	Flat   Kind = "flat"   // as Exec: each line of stdout is an output
	Pipe   Kind = "pipe"   // a process for many items, a line for each
	Coproc Kind = "coproc" // a process that stays, a line for each item
	// CoprocID is the same, with an id before each line and before its answer.
	CoprocID Kind = "coproc+id"
)

// A Spec is a parsed command.
type Spec struct {
	Name    string
	Kind    Kind
	Command string // for `sh -c`; it may have placeholders if a process gets one item

	template template // of the kinds with a process for each item
}

var (
	kinds    = []Kind{Exec, Exec0, Filter, Flat, Pipe, Coproc, CoprocID}
	goodName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// Parse reads a command:
//
//	SPEC    = NAME "=" KIND ":" COMMAND
//	NAME    = 1 to 64 of the characters A-Z a-z 0-9 . _ -
//	KIND    = "exec" | "exec0" | "filter" | "flat" | "pipe" | "coproc" | "coproc+id"
//	COMMAND = a command for `sh -c`: not blank, without NUL bytes
//
// COMMAND may contain "=" and ":". The error of an unknown kind lists the known ones.
//
// The COMMAND of exec, exec0, filter and flat may have the placeholders of GNU parallel: {} is the item, {.} the
// item without its extension, {/} its last path element, {//} its directory, {/.} its last path
// element without the extension, {#} the number of the item and {%} the number of a slot, both from
// 1. The shell takes any value as one word. Within quotes, the value is quoted for an inner shell.
// A placeholder after a construct in which safe quoting is impossible, such as a here-document, is
// an error. So is a placeholder in a command of pipe or coproc.
func Parse(spec string) (Spec, error) {
	s, err := parse(spec)
	if err != nil {
		return Spec{}, fmt.Errorf("command %q: %w", spec, err)
	}
	return s, nil
}

func parse(spec string) (Spec, error) {
	name, rest, ok := strings.Cut(spec, "=")
	if !ok {
		return Spec{}, errors.New("it is not NAME=KIND:COMMAND")
	}
	if !goodName.MatchString(name) {
		return Spec{}, fmt.Errorf("the name %q is not 1 to 64 of the characters A-Z a-z 0-9 . _ -", name)
	}
	kind, command, _ := strings.Cut(rest, ":")
	switch {
	case !slices.Contains(kinds, Kind(kind)):
		return Spec{}, fmt.Errorf("%q is not exec:, exec0:, filter:, flat:, pipe:, coproc: or coproc+id:%s", kind, nearestKind(kind))
	case strings.TrimSpace(command) == "":
		return Spec{}, fmt.Errorf("%s: has no command", kind)
	case strings.Contains(command, "\x00"):
		return Spec{}, errors.New("a command cannot contain a NUL byte")
	}
	s := Spec{Name: name, Kind: Kind(kind), Command: command}
	if s.Kind == Pipe || s.Kind == Coproc || s.Kind == CoprocID {
		return s, noPlaceholders(s)
	}
	var err error
	s.template, err = parseTemplate(command)
	return s, err
}

// version returns a hash of the command. Workers compare it.
func (s Spec) version() string {
	sum := sha256.Sum256([]byte(string(s.Kind) + ":" + s.Command))
	return hex.EncodeToString(sum[:4])
}

// noPlaceholders returns an error if the command has a placeholder. It is for kinds whose process
// gets many items.
func noPlaceholders(s Spec) error {
	place := firstPlaceholder(s.Command)
	if place == "" {
		return nil
	}
	return fmt.Errorf("%s: a process gets many items as lines of stdin, so that no item can stand for %s: use exec:, "+
		"or write { } with a space if the command needs braces", s.Kind, place)
}

// nearestKind returns the end of an error message about an unknown kind: the kind that is near, if
// any.
func nearestKind(text string) string {
	names := make([]string, len(kinds))
	for i, kind := range kinds {
		names[i] = string(kind)
	}
	if near := nearest.Name(text, names); near != "" {
		return fmt.Sprintf(" (nearest: %s:)", near)
	}
	return ""
}
