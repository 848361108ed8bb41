package batch

import (
	"encoding/json"
	"fmt"
)

// The codes of failures on the wire.
const (
	CodeError    = "error"    // the function returned an error
	CodePanic    = "panic"    // the function panicked
	CodeTimeout  = "timeout"  // the function was ended by its timeout
	CodeDecode   = "decode"   // the item is not what the function takes
	CodeEncode   = "encode"   // the value cannot be encoded
	CodeTooLarge = "toolarge" // the item is above the bound
	CodeCanceled = "canceled" // somebody canceled it
	CodeDropped  = "dropped"  // there was no room for it, and its source has such a policy
	CodeLost     = "lost"     // Redis no longer has it
	CodeCrashed  = "crashed"  // too many workers died while they had it
	CodeRejected = "rejected" // its consumer has given it back too often
	CodeCut      = "cut"      // no item: a source was given up before its end
	CodeAway     = "away"     // no item: the process of a named source died
)

// A Failure stands in the place of an item that has no value.
type Failure struct {
	Code     string `json:"code"`
	Message  string `json:"msg"`
	Stage    string `json:"stage,omitempty"`    // the queue that the stage wrote to
	Function string `json:"fn,omitempty"`       // the function that failed
	Worker   string `json:"worker,omitempty"`   // where
	Attempts int    `json:"attempts,omitempty"` // how often it was tried
	Stack    string `json:"stack,omitempty"`    // of a panic
}

// Append appends the failure's item, a JSON object.
func (f Failure) Append(dst []byte) []byte {
	text, err := json.Marshal(f)
	if err != nil {
		panic("batch: a struct of strings and an int has JSON: " + err.Error())
	}
	return append(dst, text...)
}

// ParseFailure reads a failed item. One that is not well formed is a failure
// all the same, and says so.
func ParseFailure(item []byte) Failure {
	var f Failure
	if err := json.Unmarshal(item, &f); err != nil {
		return Failure{Code: CodeError, Message: fmt.Sprintf("malformed failure: %v", err)}
	}
	return f
}
