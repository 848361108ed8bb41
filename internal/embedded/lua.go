package embedded

import (
	"errors"
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// fromScript runs a command for a script. It passes an error to failed.
func (s *Server) fromScript(l *lua.LState, failed func(*lua.LState, lua.LValue) int) int {
	n := l.GetTop()
	args := make([]string, n)
	for i := range n {
		switch v := l.Get(i + 1).(type) {
		case lua.LString:
			args[i] = string(v)
		case lua.LNumber:
			args[i] = formatNumber(float64(v))
		default:
			return failed(l, errorTable(l, "ERR Lua redis lib command arguments must be strings or integers"))
		}
	}
	if n == 0 {
		return failed(l, errorTable(l, "ERR Please specify at least one argument for this redis.call() call"))
	}
	out := &values{l: l}
	s.run(nil, args, out)
	if out.failed {
		return failed(l, out.root)
	}
	return push(l, out.root)
}

func push(l *lua.LState, v lua.LValue) int {
	l.Push(v)
	return 1
}

func raise(l *lua.LState, v lua.LValue) int {
	l.Error(v, 0)
	return 0
}

// formatNumber formats a number as an argument of a command.
func formatNumber(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1e17 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatFloat(n, 'g', 17, 64)
}

// errorTable returns an error in the form that scripts get.
func errorTable(l *lua.LState, text string) *lua.LTable {
	t := l.CreateTable(0, 1)
	t.RawSetString("err", lua.LString(text))
	return t
}

// values builds the reply to a script from Lua values.
type values struct {
	l      *lua.LState
	root   lua.LValue
	failed bool
	open   []level // arrays with missing elements
}

type level struct {
	table *lua.LTable
	left  int
}

func (v *values) put(value lua.LValue) {
	if len(v.open) == 0 {
		v.root = value
		return
	}
	last := &v.open[len(v.open)-1]
	last.table.Append(value)
	if last.left--; last.left == 0 {
		v.open = v.open[:len(v.open)-1]
	}
}

func (v *values) null()            { v.put(lua.LFalse) }
func (v *values) nullArray()       { v.put(lua.LFalse) }
func (v *values) integer(n int64)  { v.put(lua.LNumber(n)) }
func (v *values) bulk(text string) { v.put(lua.LString(text)) }
func (v *values) status(text string) {
	t := v.l.CreateTable(0, 1)
	t.RawSetString("ok", lua.LString(text))
	v.put(t)
}

func (v *values) fail(text string) {
	v.failed = true
	v.put(errorTable(v.l, text))
}

func (v *values) array(n int) {
	t := v.l.CreateTable(n, 0)
	v.put(t)
	if n > 0 {
		v.open = append(v.open, level{t, n})
	}
}

// maxDepth bounds the nesting of tables in a reply, since a table may contain itself.
const maxDepth = 1000

// answer replies with the value that a script returned.
func answer(out reply, v lua.LValue, depth int) {
	switch v := v.(type) {
	case lua.LString:
		out.bulk(string(v))
	case lua.LNumber:
		out.integer(int64(v))
	case lua.LBool:
		if v {
			out.integer(1)
		} else {
			out.null()
		}
	case *lua.LTable:
		answerTable(out, v, depth)
	default:
		out.null()
	}
}

func answerTable(out reply, t *lua.LTable, depth int) {
	if depth == 0 {
		out.fail("ERR reached lua stack limit")
		return
	}
	if text, ok := t.RawGetString("err").(lua.LString); ok {
		out.fail(string(text))
		return
	}
	if text, ok := t.RawGetString("ok").(lua.LString); ok {
		out.status(string(text))
		return
	}
	n := 0
	for t.RawGetInt(n+1) != lua.LNil {
		n++
	}
	out.array(n)
	for i := range n {
		answer(out, t.RawGetInt(i+1), depth-1)
	}
}

// pcall is pcall. For an error of a command it returns the text, as Redis does.
func pcall(l *lua.LState) int {
	l.CheckAny(1)
	err := l.PCall(l.GetTop()-1, lua.MultRet, nil)
	if err == nil {
		l.Insert(lua.LTrue, 1)
		return l.GetTop()
	}
	l.SetTop(0)
	l.Push(lua.LFalse)
	var failed *lua.ApiError
	if !errors.As(err, &failed) {
		return push(l, lua.LString(err.Error())) + 1
	}
	v := failed.Object
	if t, ok := v.(*lua.LTable); ok {
		if text, ok := t.RawGetString("err").(lua.LString); ok {
			v = text
		}
	}
	return push(l, v) + 1
}
