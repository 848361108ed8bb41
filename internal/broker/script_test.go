package broker

import (
	"strings"
	"testing"
)

// A script contains the functions of lib.lua that it uses, directly or indirectly, and no others.
func TestScriptHasFunctionsItUses(t *testing.T) {
	got := withLib("return put_back(unpack(ARGV))")
	for name, wanted := range map[string]bool{"put_back": true, "returned": true, "unread": false, "add": false} {
		if strings.Contains(got, "local function "+name+"(") != wanted {
			t.Errorf("%s: wanted %v of\n%s", name, wanted, got)
		}
	}
	if order := strings.Index(got, "function returned("); order > strings.Index(got, "function put_back(") {
		t.Errorf("put_back comes before what it uses:\n%s", got)
	}
	if alone := "return 1"; withLib(alone) != alone {
		t.Errorf("got %q", withLib(alone))
	}
}
