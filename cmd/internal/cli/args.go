package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/internal/nearest"
)

// arrange puts arguments into the order of the parser: the verb, its flags, and the other
// arguments. args may have flags anywhere before a "--". If the verb is commandVerb, the result has
// another "--" before the command. Unknown verbs and flags are errors.
func arrange(app *urfave.App, commandVerb string, args []string) ([]string, error) {
	a := arranger{app: app, commandVerb: commandVerb, known: slices.Concat(app.Flags, helpFlags)}
	for _, verb := range app.Commands {
		a.known = slices.Concat(a.known, verb.Flags)
	}
	for rest := args[1:]; len(rest) > 0; {
		var err error
		if rest, err = a.take(rest); err != nil {
			return nil, err
		}
	}
	return a.result()
}

var helpFlags = []urfave.Flag{urfave.HelpFlag}

// A givenFlag is a flag of a command line.
type givenFlag struct{ name, value, text string }

type arranger struct {
	app         *urfave.App
	commandVerb string        // the verb that takes a command after "--"
	known       []urfave.Flag // the flags of all verbs, or of the verb once it is known
	verb        *urfave.Command
	help        bool
	flags       []givenFlag
	args        []string
}

// take takes the first argument, with the value of a flag, and returns the rest.
func (a *arranger) take(rest []string) ([]string, error) {
	arg, rest := rest[0], rest[1:]
	switch {
	case arg == "--" && a.verb != nil && a.verb.Name == a.commandVerb:
		a.args = append(append(a.args, arg), rest...)
		return nil, nil
	case arg == "--":
		for _, arg := range rest {
			if err := a.argument(arg); err != nil {
				return nil, err
			}
		}
		return nil, nil
	case len(arg) < 2 || arg[0] != '-':
		return rest, a.argument(arg)
	}
	text, value, assigned := strings.Cut(arg, "=")
	f := lookup(a.known, text)
	if short := lookup(a.known, arg[:2]); f == nil && arg[1] != '-' && short != nil && takesValue(short) { // -j8
		f, text, value, assigned = short, arg[:2], arg[2:], true
	}
	if f == nil {
		return nil, a.unknown(text)
	}
	takes := takesValue(f)
	switch {
	case assigned:
	case takes && len(rest) == 0:
		return nil, Usagef("the flag %s needs a value", text)
	case takes:
		value, rest = rest[0], rest[1:]
	default:
		value = "true"
	}
	if f == urfave.HelpFlag {
		a.help = true
	}
	a.flags = append(a.flags, givenFlag{name: f.Names()[0], value: value, text: text})
	return rest, nil
}

// argument takes an argument that is no flag. If the app has verbs, the first one is the verb.
func (a *arranger) argument(arg string) error {
	if a.verb != nil || len(a.app.Commands) == 0 {
		a.args = append(a.args, arg)
		return nil
	}
	if arg == "help" {
		a.help = true
		return nil
	}
	if a.verb = a.app.Command(arg); a.verb == nil {
		return Usagef("unknown verb %q: %s", arg, nearest.Suggest(arg, a.verbs()))
	}
	a.known = slices.Concat(a.verb.Flags, helpFlags)
	for _, g := range a.flags { // the flags before the verb
		if lookup(a.known, g.text) == nil {
			return a.unknown(g.text)
		}
	}
	return nil
}

func (a *arranger) result() ([]string, error) {
	ordered := []string{a.app.Name}
	switch {
	case a.verb != nil:
		ordered = append(ordered, a.verb.Name)
	case a.help || len(a.app.Commands) == 0 || a.isGiven("version"):
	default:
		return nil, Usagef("a verb is missing: %s", nearest.Suggest("", a.verbs()))
	}
	if a.help {
		return append(ordered, "--help"), nil
	}
	for _, g := range a.flags {
		ordered = append(ordered, "--"+g.name+"="+g.value)
	}
	return append(append(ordered, "--"), a.args...), nil
}

func (a *arranger) verbs() []string {
	return append(Names(a.app.Commands, func(verb *urfave.Command) string { return verb.Name }), "help")
}

func (a *arranger) isGiven(name string) bool {
	return slices.ContainsFunc(a.flags, func(g givenFlag) bool { return g.name == name })
}

func (a *arranger) unknown(text string) error {
	var names []string
	for _, f := range a.known {
		if name := "--" + f.Names()[0]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	of := ""
	if a.verb != nil {
		of = " of " + a.verb.Name
	}
	return Usagef("unknown flag %s%s: %s", text, of, nearest.Suggest("--"+strings.TrimLeft(text, "-"), names))
}

// lookup returns the flag with one of its names after one or two dashes, nil if there is none.
func lookup(flags []urfave.Flag, text string) urfave.Flag {
	name := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "-")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f urfave.Flag) bool {
	doc, ok := f.(urfave.DocGenerationFlag)
	return !ok || doc.TakesValue()
}

// CheckKnown returns a Usage error for the first of names that is not known.
func CheckKnown(names, known []string) error {
	for _, name := range names {
		if !slices.Contains(known, name) {
			return Usagef("unknown function %q: %s", name, nearest.Suggest(name, known))
		}
	}
	return nil
}

// CheckText returns a Usage error for a function whose items are not text.
func CheckText(function, typ, codec string) error {
	if codec == "raw" || codec == "json" {
		return nil
	}
	return Usagef("function %s has items of %s (%s), which are not lines of text; the codec has to be raw or json", function, typ, codec)
}
