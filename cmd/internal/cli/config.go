package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"github.com/dqbridge/dqbridge/internal/nearest"
)

// ConfigFlag returns --config.
func ConfigFlag() urfave.Flag {
	return &urfave.StringFlag{
		Name: "config", TakesFile: true,
		Usage: "take flags that are given neither here nor in the environment from `FILE`, which is YAML: a key for each flag",
	}
}

// notInFile are the flags that a configuration file cannot have.
var notInFile = []string{"config", "help", "man", "version"}

// A setting is a key of a configuration file and the values of its flag.
type setting struct {
	name   string
	values []string
	line   int
}

// A configFile has the settings of a file: those of all verbs, and those of each verb.
type configFile struct {
	path     string
	settings []setting
	verbs    map[string][]setting
}

// configure gives flags of the command the values of its configuration file, unless they are given
// on the command line or in the environment. Then it reads the address of Redis if --redis names a
// file.
func configure(c *urfave.Context) error {
	if path := c.String("config"); path != "" {
		file, err := readConfig(path, c.App)
		if err != nil {
			return err
		}
		if err := file.apply(c); err != nil {
			return err
		}
	}
	return readAddress(c)
}

// readConfig reads and checks a file for all verbs of an app.
func readConfig(path string, app *urfave.App) (configFile, error) {
	file := configFile{path: path, verbs: map[string][]setting{}}
	text, err := os.ReadFile(path)
	if err != nil {
		return file, Usagef("--config: %v", err)
	}
	var document, more yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	err = decoder.Decode(&document)
	if errors.Is(err, io.EOF) { // an empty file
		return file, nil
	}
	if err != nil {
		return file, Usagef("--config %s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return file, Usagef("--config %s: it has more than one document", path)
	}
	flags := app.Flags
	verbs := map[string]*urfave.Command{}
	for _, verb := range app.Commands {
		flags, verbs[verb.Name] = slices.Concat(flags, verb.Flags), verb
	}
	return file, file.read(document.Content[0], flags, func(key, value *yaml.Node) (bool, error) {
		verb := verbs[key.Value]
		if verb == nil || value.Kind != yaml.MappingNode {
			return false, nil
		}
		section := configFile{path: path}
		err := section.read(value, verb.Flags, nil)
		file.verbs[verb.Name] = section.settings
		return true, err
	}, verbNames(app)...)
}

func verbNames(app *urfave.App) []string {
	return Names(app.Commands, func(verb *urfave.Command) string { return verb.Name })
}

// read reads the keys of a mapping. section, which may be nil, takes those that are no flags; others
// are their names.
func (f *configFile) read(mapping *yaml.Node, flags []urfave.Flag, section func(key, value *yaml.Node) (bool, error), others ...string) error {
	if mapping.Kind != yaml.MappingNode {
		return f.mistake(mapping.Line, "it is no mapping of flags to values")
	}
	known := slices.Clone(others)
	for _, flag := range flags {
		if name := flag.Names()[0]; !slices.Contains(notInFile, name) {
			known = append(known, name)
		}
	}
	first := map[string]int{}
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		if line, twice := first[key.Value]; twice {
			return f.mistake(key.Line, "the key %q is in line %d too", key.Value, line)
		}
		first[key.Value] = key.Line
		if section != nil {
			if taken, err := section(key, value); taken || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		flag := lookup(flags, key.Value)
		if flag == nil || !slices.Contains(known, key.Value) {
			return f.mistake(key.Line, "unknown key %q: %s", key.Value, nearest.Suggest(key.Value, known))
		}
		values, err := valuesOf(value, flag)
		if err != nil {
			return f.mistake(value.Line, "%s: %v", key.Value, err)
		}
		f.settings = append(f.settings, setting{name: key.Value, values: values, line: key.Line})
	}
	return nil
}

// mistake returns a Usage error about a line of the file.
func (f *configFile) mistake(line int, format string, args ...any) error {
	return Usagef("--config %s: line %d: %s", f.path, line, fmt.Sprintf(format, args...))
}

// valuesOf returns the values of a flag: one of a scalar, or those of a sequence or a mapping for a
// flag that may be repeated. A mapping has the form of NAME=VALUE.
func valuesOf(node *yaml.Node, flag urfave.Flag) (values []string, err error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	_, repeated := flag.(*urfave.StringSliceFlag)
	add := func(prefix string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			err = errors.New("it has no value, or one that is no text")
		}
		values = append(values, prefix+n.Value)
	}
	switch {
	case repeated && node.Kind == yaml.SequenceNode:
		for _, n := range node.Content {
			add("", n)
		}
	case repeated && node.Kind == yaml.MappingNode:
		for i := 0; i < len(node.Content); i += 2 {
			add(node.Content[i].Value+"=", node.Content[i+1])
		}
	default:
		add("", node)
	}
	return values, err
}

// apply sets the flags of the verb that are not set. The section of the verb precedes the settings
// of all verbs.
func (f *configFile) apply(c *urfave.Context) error {
	flags := c.App.Flags
	own := f.verbs[c.Command.Name]
	if len(c.App.Commands) > 0 {
		flags = c.Command.Flags
	}
	for _, s := range slices.Concat(own, f.settings) {
		if lookup(flags, s.name) == nil || isGiven(c, lookup(flags, s.name)) {
			continue
		}
		for _, value := range s.values {
			if err := c.Set(s.name, value); err != nil {
				return f.mistake(s.line, "%s: %q is not valid: %v", s.name, value, err)
			}
		}
	}
	return nil
}

// isGiven reports whether a flag has a value of the command line or the environment. An empty
// variable is none.
func isGiven(c *urfave.Context, flag urfave.Flag) bool {
	name := flag.Names()[0]
	text, ok := flag.(*urfave.StringFlag)
	if ok && c.String(name) == "" {
		for _, variable := range text.EnvVars {
			if value, set := os.LookupEnv(variable); set && value == "" {
				return false
			}
		}
	}
	return c.IsSet(name)
}

// maxAddress bounds the size of a file with an address.
const maxAddress = 64 << 10

// readAddress replaces a --redis of the form @FILE by the text of the file, so that an address with
// a password is in no command line and no environment.
func readAddress(c *urfave.Context) error {
	path, isFile := strings.CutPrefix(c.String("redis"), "@")
	if !isFile {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return Usagef("--redis @FILE: %v", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxAddress))
	if err != nil {
		return Usagef("--redis @FILE: %v", err)
	}
	address := strings.TrimSpace(string(text))
	if address == "" || strings.ContainsAny(address, "\n") {
		return Usagef("--redis @%s: the file must have one line, an address such as redis://HOST:6379", path)
	}
	return c.Set("redis", address)
}
