package command

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/cmd/internal/nearest"
)

// A Kind is how the items reach a command.
type Kind string

// The kinds of commands.
const (
	Exec   Kind = "exec"   // a process for each item, which is a line of stdin
	Exec0  Kind = "exec0"  // the same, without a newline behind the item
	Pipe   Kind = "pipe"   // a process for many items, a line for each
	Coproc Kind = "coproc" // a process that stays, a line for each item
	// CoprocID is the same, with an id before each line and before its answer.
	CoprocID Kind = "coproc+id"
)

// A Spec is a command as it was given.
type Spec struct {
	Name    string
	Kind    Kind
	Command string // what sh runs; of Exec and Exec0 with placeholders

	template template // of these two
}

var (
	kinds    = []Kind{Exec, Exec0, Pipe, Coproc, CoprocID}
	goodName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// Parse reads a command:
//
//	SPEC    = NAME "=" KIND ":" COMMAND
//	NAME    = 1 to 64 of the characters A-Z a-z 0-9 . _ -
//	KIND    = "exec" | "exec0" | "pipe" | "coproc" | "coproc+id"
//	COMMAND = what `sh -c` takes: not blank, without NUL bytes
//
// COMMAND is kept as it is and may contain "=" and ":". The error of a kind
// that does not exist lists those that do.
//
// In the COMMAND of exec and exec0 these placeholders are replaced, as by GNU parallel: {} by the item, {.} by the item
// without its extension, {/} by its last path element, {//} by its directory, {/.} by its last path element
// without the extension, {#} by the number of the item, {%} by that of a slot, both from 1. The shell takes the
// value as one word whatever is in it. Within quotes it is that word quoted for another shell. Behind
// a construct of the shell in which that cannot be done, such as a here-document, a placeholder is an error, as it
// is for pipe and coproc.
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
		return Spec{}, fmt.Errorf("%q is not exec:, exec0:, pipe:, coproc: or coproc+id:%s", kind, nearestKind(kind))
	case strings.TrimSpace(command) == "":
		return Spec{}, fmt.Errorf("%s: has no command", kind)
	case strings.Contains(command, "\x00"):
		return Spec{}, errors.New("a command cannot contain a NUL byte")
	}
	s := Spec{Name: name, Kind: Kind(kind), Command: command}
	if s.Kind != Exec && s.Kind != Exec0 {
		return s, noPlaceholders(s)
	}
	var err error
	s.template, err = parseTemplate(command)
	return s, err
}

// version returns a hash of the command, which workers compare.
func (s Spec) version() string {
	sum := sha256.Sum256([]byte(string(s.Kind) + ":" + s.Command))
	return hex.EncodeToString(sum[:4])
}

// noPlaceholders refuses a command with a placeholder whose process gets many items.
func noPlaceholders(s Spec) error {
	place := firstPlaceholder(s.Command)
	if place == "" {
		return nil
	}
	return fmt.Errorf("%s: a process gets many items, each as a line of stdin, so that none can stand for %s: use exec:, "+
		"or write { } with a space if the command needs braces", s.Kind, place)
}

// nearestKind returns the end of an error message about an unknown kind: the kind that is near, if any.
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
