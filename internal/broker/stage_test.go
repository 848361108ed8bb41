package broker_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// hinted returns the stages named by the hints in the mailbox of w1, and empties it.
func hinted(t *testing.T, c *broker.Client) (ids []string) {
	t.Helper()
	mailbox := c.Key("p:w1")
	for _, m := range must[[]redis.XMessage](t)(c.Raw().XRange(t.Context(), mailbox, "-", "+").Result()) {
		ids = append(ids, m.Values["w"].(string))
	}
	if err := c.Raw().XTrimMaxLen(t.Context(), mailbox, 0).Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestUnchangedStageIsNotWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		first := must[[]broker.Stage](t)(c.Stages(t.Context()))[0]
		hinted(t, c)
		if err := c.Stage(t.Context(), f.stage); err != nil {
			t.Fatal(err)
		}
		if same := must[[]broker.Stage](t)(c.Stages(t.Context()))[0]; same.Record != first.Record || len(hinted(t, c)) > 0 {
			t.Errorf("the same stage again is %s, before it was %s, or workers were told", same.Record, first.Record)
		}
		slow := f.stage
		slow.Timeout = time.Minute
		if err := c.Stage(t.Context(), slow); err != nil {
			t.Fatal(err)
		}
		updated := must[[]broker.Stage](t)(c.Stages(t.Context()))[0]
		if updated.Timeout != time.Minute || updated.Seq != first.Seq || len(hinted(t, c)) != 1 {
			t.Errorf("with another timeout it is %+v, before it was %+v", updated, first)
		}
	})
}

// A stage with tags has a version that a program without tags does not know: its workers leave the
// stage alone. Without the tags the stage is theirs again.
func TestTagsRaiseTheVersionOfAStage(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		stage := makeFlow(t, c, 0).stage
		for _, one := range []struct {
			tags []string
			v    int
		}{{nil, 1}, {[]string{"eu", "gpu"}, 2}, {nil, 1}} {
			stage.Tags = one.tags
			if err := c.Stage(t.Context(), stage); err != nil {
				t.Fatal(err)
			}
			read := must[[]broker.Stage](t)(c.Stages(t.Context()))[0]
			record := struct{ V int }{}
			if err := json.Unmarshal([]byte(read.Record), &record); err != nil || record.V != one.v || !slices.Equal(read.Tags, one.tags) {
				t.Errorf("with the tags %v it is %s, %v", one.tags, read.Record, err)
			}
			if !read.Admits([]string{"gpu", "x", "eu"}) || read.Admits([]string{"gpu"}) != (one.tags == nil) {
				t.Errorf("the stage %s admits the wrong workers", read.Record)
			}
		}
	})
}

func TestConflictingStageIsReplacedAtomically(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		t.Helper()
		f := makeFlow(t, c, 0)
		first := must[[]broker.Stage](t)(c.Stages(t.Context()))[0]
		out, _, err := c.Declare(t.Context(), broker.Queue{Name: "c", Codec: "raw", Type: "string", From: []string{"a"}, Seal: true})
		if err != nil {
			t.Fatal(err)
		}
		next := broker.Stage{ID: "c", Kind: broker.KindMap, Function: "down", Ins: []broker.Queue{f.a}, Outs: []broker.Out{{Queue: out}}}
		renamed := f.stage
		renamed.Function = "upper"
		hinted(t, c)
		for _, s := range []broker.Stage{next, renamed} {
			var conflict *broker.StageConflict
			if err := c.Stage(t.Context(), s); !errors.As(err, &conflict) || !errors.Is(err, broker.ErrStageExists) || conflict.Old.Record != first.Record || !conflict.Replaceable() {
				t.Errorf("stage %s: %v", s.ID, err)
			}
		}
		if told := hinted(t, c); len(told) > 0 {
			t.Errorf("a refused stage is told: %v", told)
		}
		if err := c.Replace(t.Context(), next, first); err != nil {
			t.Fatal(err)
		}
		all := must[[]broker.Stage](t)(c.Stages(t.Context()))
		a, b := must[broker.Queue](t)(c.Look(t.Context(), "a")), must[map[string]string](t)(c.Raw().HGetAll(t.Context(), c.Key("m:b")).Result())
		if len(all) != 1 || all[0].ID != "c" || all[0].Seq != first.Seq || a.Consumer != "stage:c" || b["s:b"] != "" {
			t.Errorf("stages %+v, consumer %s, the old out-queue %v", all, a.Consumer, b)
		}
		if told := hinted(t, c); len(told) != 2 || told[0] != "c" || told[1] != "b" {
			t.Errorf("workers hear of %v", told)
		}
		if err := c.Replace(t.Context(), f.stage, first); !errors.Is(err, broker.ErrStageExists) {
			t.Errorf("in the place of a stage that is no longer there: %v", err)
		}
	})
}
