package main

import (
	"testing"

	"github.com/dqbridge/dqbridge/dqtest"
)

func TestStages(t *testing.T) {
	got := dqtest.Values(t, stages, []string{"So long lives this", "and this gives life to thee"}, longest)
	if len(got) != 2 || got[0].Text != "lives" || got[1].Text != "gives" {
		t.Errorf("the words are %+v", got)
	}
}
