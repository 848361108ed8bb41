package flow_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// Programs that know no counts leave alone a queue of version 2 and a stage of version 3. The queues
// behind a filter are such, and no others.
func TestOldProgramsLeaveFilteredQueuesAlone(t *testing.T) {
	t.Parallel()
	ns := testkit.Namespace(t)
	ex, err := executor.New(t.Context(), testkit.SharedRedis(t).URL()+"/?ns="+ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ex.Close() })
	if err := ex.Register(inc, even); err != nil {
		t.Fatal(err)
	}
	q, err := bridge.Scatter(t.Context(), ex, make(chan int))
	if err != nil {
		t.Fatal(err)
	}
	before, err := executor.Map(t.Context(), inc, q)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := filterBy(even)(t.Context(), before)
	if err != nil {
		t.Fatal(err)
	}
	behind, err := mapBy(inc)(t.Context(), kept)
	if err != nil {
		t.Fatal(err)
	}
	copies, err := executor.Multiplex(t.Context(), 1, behind)
	if err != nil {
		t.Fatal(err)
	}
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr()})
	t.Cleanup(func() { _ = raw.Close() })
	prefix := "{" + ns + ":0}:"
	for name, want := range map[string][2]string{
		q.Name(): {"1", ""}, before.Name(): {"1", "1"}, kept.Name(): {"2", "3"}, behind.Name(): {"2", "3"}, copies[0].Name(): {"2", "3"},
	} {
		version := raw.HGet(t.Context(), prefix+"m:"+name, "v").Val()
		record := raw.HGet(t.Context(), prefix+"stages", name).Val()
		if version != want[0] || !strings.HasPrefix(record, `{"v":`+want[1]) && want[1] != "" {
			t.Errorf("queue %s has version %s, its stage is %s", name, version, record)
		}
	}
}
