package builtin

import "github.com/dqbridge/dqbridge/workers"

// Functions returns all of them:
//
//   - inc: int to int, x+1, which wraps around at the largest int
//   - double: int to int, 2x, which wraps around too
//   - upper: string to string, in upper case as of Unicode, other bytes
//     as they are
//   - fail: int to int, x itself; every multiple of 3, and so 0, fails at
//     every attempt
//   - sleep: string to string, the input after as long as it says: a duration
//     of Go such as 10ms, or a number of seconds such as 0.5; anything else and
//     less than 0 is an error
//   - sha256file: string to string, the line that `sha256sum -- PATH` prints for
//     the file of that path on the worker, without the newline at its end; what
//     cannot be read fails as there. Even "-" is the name of a file. A named
//     pipe is waited for, whatever the context.
//
// The functions are stateless. When their context ends, sleep and sha256file
// return its cause.
func Functions() []workers.Function {
	return []workers.Function{
		workers.Define("inc", inc),
		workers.Define("double", double),
		workers.Define("upper", upper),
		workers.Define("fail", fail),
		workers.Define("sleep", sleep),
		workers.Define("sha256file", sha256file),
	}
}
