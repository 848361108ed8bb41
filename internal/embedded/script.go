package embedded

import (
	"crypto/sha1" // Redis names scripts by their SHA-1
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

func scriptCommands() map[string]command {
	return map[string]command{"EVAL": {-3, (*call).eval}, "EVALSHA": {-3, (*call).eval}, "SCRIPT": {-2, (*call).script}}
}

// chunkName is the name of scripts in errors.
const chunkName = "user_script"

// stack limits the number of values on the stack of a script, including those of unpack.
const stack = 1 << 20

// eval implements EVAL and EVALSHA.
func (c *call) eval() {
	if c.conn == nil {
		c.out.fail("ERR This Redis command is not allowed from script")
		return
	}
	n, ok := c.number(c.args[1])
	if !ok {
		return
	}
	if n < 0 || n > int64(len(c.args)-2) {
		c.out.fail("ERR Number of keys can't be greater than number of args")
		return
	}
	sha := strings.ToLower(c.args[0])
	if is(c.name, "EVAL") {
		if sha, ok = c.load(c.args[0]); !ok {
			return
		}
	}
	script := c.s.scripts[sha]
	if script == nil {
		c.out.fail("NOSCRIPT No matching script. Please use EVAL.")
		return
	}
	c.runScript(script, c.args[2:2+n], c.args[2+n:])
}

// load compiles a script, unless that was done before, and returns its name. If ok is false, it has
// replied with an error.
func (c *call) load(text string) (sha string, ok bool) {
	sha = fmt.Sprintf("%x", sha1.Sum([]byte(text)))
	if c.s.scripts[sha] != nil {
		return sha, true
	}
	c.s.work.compiled++
	chunk, err := parse.Parse(strings.NewReader(text), chunkName)
	if err == nil {
		c.s.scripts[sha], err = lua.Compile(chunk, chunkName)
	}
	if err != nil {
		delete(c.s.scripts, sha)
		c.out.fail("ERR Error compiling script (new function): " + err.Error())
	}
	return sha, err == nil
}

func (c *call) script() {
	switch sub := strings.ToUpper(c.args[0]); {
	case sub == "LOAD" && len(c.args) == 2:
		if sha, ok := c.load(c.args[1]); ok {
			c.out.bulk(sha)
		}
	case sub == "EXISTS" && len(c.args) > 1:
		c.out.array(len(c.args) - 1)
		for _, sha := range c.args[1:] {
			c.flag(c.s.scripts[strings.ToLower(sha)] != nil)
		}
	case sub == "FLUSH":
		clear(c.s.scripts)
		c.ok()
	default:
		c.out.fail(errSyntax)
	}
}

// runScript runs a script and replies with its value or its error.
func (c *call) runScript(script *lua.FunctionProto, keys, args []string) {
	if c.s.state == nil {
		c.s.state = newState(c.s)
	}
	l := c.s.state
	l.G.Global.RawSetString("KEYS", listOf(l, keys))
	l.G.Global.RawSetString("ARGV", listOf(l, args))
	err := l.CallByParam(lua.P{Fn: l.NewFunctionFromProto(script), NRet: 1, Protect: true})
	l.G.Global.RawSetString("KEYS", lua.LFalse) // so that an idle server keeps no second copy of a payload
	l.G.Global.RawSetString("ARGV", lua.LFalse)
	if err != nil {
		c.out.fail(failure(err))
		return
	}
	v := l.Get(-1)
	l.Pop(1)
	answer(c.out, v, maxDepth)
}

// failure returns the text of an error that a script has not caught.
func failure(err error) string {
	failed := new(lua.ApiError)
	if !errors.As(err, &failed) {
		return "ERR " + err.Error()
	}
	if t, ok := failed.Object.(*lua.LTable); ok {
		if text, ok := t.RawGetString("err").(lua.LString); ok {
			return string(text)
		}
	}
	return "ERR " + failed.Object.String()
}

func listOf(l *lua.LState, texts []string) *lua.LTable {
	t := l.CreateTable(len(texts), 0)
	for _, text := range texts {
		t.Append(lua.LString(text))
	}
	return t
}

// newState returns the Lua state in which all scripts run, one after the other as in Redis. Scripts
// cannot set globals.
func newState(s *Server) *lua.LState {
	l := lua.NewState(lua.Options{SkipOpenLibs: true, RegistryMaxSize: stack, RegistryGrowStep: 1 << 10})
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath,
	} {
		l.Push(l.NewFunction(open))
		l.Push(lua.LString(name))
		l.Call(1, 0)
	}
	l.G.Global.RawSetString("pcall", l.NewFunction(pcall))
	module := l.NewTable()
	for name, f := range map[string]lua.LGFunction{
		"call":  func(l *lua.LState) int { return s.fromScript(l, raise) },
		"pcall": func(l *lua.LState) int { return s.fromScript(l, push) },
		"error_reply": func(l *lua.LState) int {
			return push(l, errorTable(l, strings.TrimPrefix(l.CheckString(1), "-")))
		},
		"status_reply": func(l *lua.LState) int {
			t := l.NewTable()
			t.RawSetString("ok", lua.LString(l.CheckString(1)))
			return push(l, t)
		},
	} {
		module.RawSetString(name, l.NewFunction(f))
	}
	globals := l.G.Global
	globals.RawSetString("redis", module)
	guard := l.NewTable()
	for event, message := range map[string]string{
		"__index":    "Script attempted to access nonexistent global variable '%s'",
		"__newindex": "Script attempted to set the global variable '%s'",
	} {
		guard.RawSetString(event, l.NewFunction(func(l *lua.LState) int {
			l.RaiseError(message, l.CheckAny(2).String())
			return 0
		}))
	}
	globals.Metatable = guard
	return l
}
