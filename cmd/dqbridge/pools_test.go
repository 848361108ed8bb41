package main

import "testing"

// A name of a pool is the value of a label, which has to be text.
func TestPoolsHaveNames(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\xff=min=1", "=min=1", "cpu", "cpu=min=x", "cpu=mni=1", "cpu=%zz"} {
		if pools, err := namedPools([]string{text}); err == nil {
			t.Errorf("%q is %+v", text, pools)
		}
	}
	if _, err := namedPools([]string{"cpu=min=1", "cpu=min=2"}); err == nil {
		t.Error("two pools have the same name")
	}
	pools, err := namedPools([]string{"cpu=functions=a,b&min=1", "all="})
	if err != nil || len(pools) != 2 || pools[0].name != "cpu" || len(pools[0].options.Functions) != 2 || pools[0].options.Min != 1 || pools[1].name != "all" {
		t.Errorf("the pools are %+v, %v", pools, err)
	}
}
