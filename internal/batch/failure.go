package batch

import (
	"encoding/json"
	"fmt"
)

// The codes of failures on the wire.
const (
	CodeError    = "error"    // the function returned an error
	CodePanic    = "panic"    // the function panicked
	CodeTimeout  = "timeout"  // the timeout ended the function
	CodeDecode   = "decode"   // the function cannot decode the item
	CodeEncode   = "encode"   // the value cannot be encoded
	CodeTooLarge = "toolarge" // the item is larger than the limit
	CodeCanceled = "canceled" // the future was canceled
	CodeDropped  = "dropped"  // an overflow policy dropped the item
	CodeLost     = "lost"     // Redis no longer has it
	CodeCrashed  = "crashed"  // too many workers died with the item
	CodeRejected = "rejected" // its consumer has given it back too often
	CodeCut      = "cut"      // no item: the source was abandoned before its end
	CodeAway     = "away"     // no item: the process of a durable source died
)

// A Failure takes the place of an item that has no value.
type Failure struct {
	Code     string `json:"code"`
	Message  string `json:"msg"`
	Stage    string `json:"stage,omitempty"`    // the queue that the stage wrote to
	Function string `json:"fn,omitempty"`       // the function that failed
	Worker   string `json:"worker,omitempty"`   // its id
	Attempts int    `json:"attempts,omitempty"` // number of calls
	Stack    string `json:"stack,omitempty"`    // of a panic
}

// Append appends the failure as an item: a JSON object.
func (f Failure) Append(dst []byte) []byte {
	text, err := json.Marshal(f)
	if err != nil {
		panic("batch: a struct of strings and an int has JSON: " + err.Error())
	}
	return append(dst, text...)
}

// ParseFailure decodes the item of a failure. A malformed one becomes a Failure that says so.
func ParseFailure(item []byte) Failure {
	var f Failure
	if err := json.Unmarshal(item, &f); err != nil {
		return Failure{Code: CodeError, Message: fmt.Sprintf("malformed failure: %v", err)}
	}
	return f
}

// CannotEncode is the failure of a value that its codec cannot encode.
func CannotEncode(err error) Failure {
	text, stack := Describe(err)
	return Failure{Code: CodeEncode, Message: text, Stack: stack}
}

// TooLarge is the failure of a value of more than MaxItem bytes.
func TooLarge(size int) Failure {
	return Failure{Code: CodeTooLarge, Message: fmt.Sprintf(
		"it has %d bytes encoded, at most %d are taken: put it elsewhere and send its address", size, MaxItem)}
}
