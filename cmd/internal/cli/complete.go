package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// completing is the last argument of a command line that a shell wants to be completed.
const completing = "--generate-bash-completion"

// completeLimit bounds the time for names of Redis: a user waits for them.
const completeLimit = 300 * time.Millisecond

// An Argument returns the names that an argument of a verb may have.
type Argument func(context.Context, executor.Inspector) ([]string, error)

// FunctionNames returns the names of the functions of the live workers.
func FunctionNames(ctx context.Context, o executor.Inspector) ([]string, error) {
	all, err := o.Functions(ctx)
	return Names(all, func(f inspect.Function) string { return f.Name }), err
}

// QueueNames returns the names of the queues.
func QueueNames(ctx context.Context, o executor.Inspector) ([]string, error) {
	all, err := o.Queues(ctx)
	return Names(all, func(q inspect.Queue) string { return q.Name }), err
}

// StageNames returns the ids of the stages.
func StageNames(ctx context.Context, o executor.Inspector) ([]string, error) {
	all, err := o.Stages(ctx)
	return Names(all, func(s inspect.Stage) string { return s.ID }), err
}

// runCompletion prints what a shell may put in place of the last word.
func runCompletion(ctx context.Context, a *urfave.App, args []string) int {
	a.EnableBashCompletion = true
	if a.RunContext(ctx, args) != nil { // a shell has no place for an error
		return StatusFailed
	}
	return 0
}

// Complete gives a verb the completion of its flags and of its arguments. The last of args is for all
// further arguments too.
func Complete(verb *urfave.Command, args ...Argument) *urfave.Command {
	flags := urfave.DefaultCompleteWithFlags(verb)
	verb.BashComplete = func(c *urfave.Context) {
		flags(c)
		if rest := c.Args().Slice(); len(rest) > 0 && strings.HasPrefix(rest[len(rest)-1], "-") {
			return
		}
		names, err := namesFor(c, args[min(c.NArg(), len(args)-1)])
		if err != nil { // a shell has no place for an error
			return
		}
		for _, name := range names {
			_, _ = fmt.Fprintln(c.App.Writer, name)
		}
	}
	return verb
}

// namesFor returns the names for an argument, sorted, without those that a shell could misread.
func namesFor(c *urfave.Context, arg Argument) (names []string, err error) {
	if err := readAddress(c); err != nil || c.String("redis") == "" {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context, completeLimit)
	defer cancel()
	o, err := executor.NewInspector(ctx, c.String("redis"), executor.Logger(nil))
	if err != nil {
		return nil, err
	}
	names, err = arg(ctx, o)
	err = errors.Join(err, o.Close())
	names = slices.DeleteFunc(names, func(name string) bool { return broker.CheckName("name", name) != nil })
	return slices.Compact(slices.Sorted(slices.Values(names))), err
}

// CompletionScript returns the script by which a shell completes the commands of these names.
func CompletionScript(shell string, commands ...string) (string, error) {
	script := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[shell]
	if script == "" {
		return "", Usagef("completion takes bash, zsh or fish, not %q: for example, source <(dqbridge completion bash)", shell)
	}
	if shell != "fish" {
		return strings.ReplaceAll(script, "COMMANDS", strings.Join(commands, " ")), nil
	}
	all := ""
	for _, command := range commands {
		all += strings.ReplaceAll(script, "COMMAND", command)
	}
	return all, nil
}

const bashScript = `_dqbridge_complete() {
  local word=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  [[ $word == -* ]] && words+=("$word")
  COMPREPLY=($(compgen -W "$(SHELL=bash "${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$word"))
}
complete -o bashdefault -o default -F _dqbridge_complete COMMANDS
`

const zshScript = `#compdef COMMANDS
_dqbridge_complete() {
  local word=${words[CURRENT]}
  local -a line=("${(@)words[1,CURRENT-1]}") found
  [[ $word == -* ]] && line+=("$word")
  found=("${(@f)$(SHELL=bash "${line[@]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n ${found[1]} ]]; then compadd -- "${found[@]}"; else _files; fi
}
compdef _dqbridge_complete COMMANDS
`

const fishScript = `function __COMMAND_complete
    set -l line (commandline -opc)
    set -l word (commandline -ct)
    string match -q -- '-*' $word; and set -a line $word
    SHELL=bash $line --generate-bash-completion 2>/dev/null
end
complete -c COMMAND -f -a '(__COMMAND_complete)'
`
