package worker

import (
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestHeldCheckAsksTwiceAfterALostReply(t *testing.T) {
	t.Parallel()
	const lease = 10 * time.Second
	now := time.Now()
	var c heldCheck
	if c.due(now, 0) || !c.certain(0) {
		t.Error("a new fetcher asks")
	}
	c.lost = true
	if !c.due(now, 0) || c.certain(0) {
		t.Error("after a lost reply it does not ask")
	}
	c.asked(now, 0, lease)
	if c.due(now, 0) || c.certain(0) {
		t.Error("the late request is not waited for")
	}
	now = now.Add(lease + 1)
	if !c.due(now, 0) {
		t.Error("a lease later it does not ask again")
	}
	c.asked(now, 0, lease)
	if c.due(now.Add(time.Hour), 0) || !c.certain(0) {
		t.Error("it asks a third time")
	}
	if !c.due(now, 1) {
		t.Error("after a failed request it does not ask")
	}
	c.lost = true
	c.asked(now, 1, lease)
	c.lost = true
	now = now.Add(lease + 1) // late, and a reply was lost again
	c.asked(now, 1, lease)
	if c.certain(1) || !c.due(now.Add(lease+1), 1) {
		t.Error("the second lost reply is asked for once only")
	}
}

func TestPollPolicySkipsNeedlessPolls(t *testing.T) {
	t.Parallel()
	one := []broker.Entry{{Batch: batch.Batch{N: 1}}}
	large := []broker.Entry{{Payload: "p"}}
	for name, c := range map[string]struct {
		reads [][]broker.Entry
		count int
		skip  bool
	}{
		"the only entry":          {[][]broker.Entry{one}, 2, true},
		"perhaps one of many":     {[][]broker.Entry{one}, 1, false},
		"a large entry":           {[][]broker.Entry{large}, 2, false},
		"two entries":             {[][]broker.Entry{{one[0], one[0]}}, 2, false},
		"no entry behind a poll":  {[][]broker.Entry{nil}, 2, true},
		"no entry without a poll": {[][]broker.Entry{nil, nil}, 2, false},
	} {
		var p pollPolicy
		for _, entries := range c.reads {
			p.read(entries, c.count)
		}
		if p.skip != c.skip {
			t.Errorf("%s: skip is %v", name, p.skip)
		}
	}
	var p pollPolicy
	for range maxEmptyPolls {
		p.read(one, 2)
	}
	if p.skip {
		t.Errorf("it never polls while reads bring single entries")
	}
}
