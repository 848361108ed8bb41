package chaos

import (
	"slices"
	"strings"
	"testing"
)

// sound returns the ledgers of a correct run: a producer, a worker, and two gathers of which the
// first was killed.
func sound() map[string][]record {
	const n = 10
	books := map[string][]record{"4-killed": nil, "5-gather": nil}
	for i := range int64(n) {
		books["1-produce"] = append(books["1-produce"], record{event: intended, source: 1, offset: i, at: i})
		for stage := range uint8(stages) {
			books["2-work"] = append(books["2-work"], record{event: ran, source: 1, offset: i, stage: stage, at: 100 + i})
		}
		book := "4-killed"
		if i >= 5 {
			book = "5-gather"
		}
		books[book] = append(books[book], record{event: got, source: 1, offset: i, at: 200 + i})
	}
	books["1-produce"] = append(books["1-produce"],
		record{event: ended, source: 1, offset: n, at: 20}, record{event: kept, source: 1, offset: n, at: 21})
	books["5-gather"] = append(books["5-gather"], record{event: closed, at: 300})
	return books
}

func verdictOf(books map[string][]record, left ...string) verdict {
	return joined(books, "").check(bounds{left: []string{"allowed"}, interrupted: 1}, left)
}

// joined returns a checker that has read all books. hurt names the book of a process with a fault.
func joined(books map[string][]record, hurt string) *checker {
	c := newChecker()
	c.hurt[hurt] = true
	for _, name := range []string{"1-produce", "2-work", "3-test", "4-killed", "5-gather"} {
		c.read(name, books[name])
	}
	return c
}

func TestCheckerAcceptsCorrectRun(t *testing.T) {
	t.Parallel()
	if v := verdictOf(sound(), "allowed"); v.breaches != nil || v.items != 10 {
		t.Errorf("%+v", v)
	}
	again := sound() // unacknowledged items of the first gather
	again["5-gather"] = slices.Insert(again["5-gather"], 0, record{event: got, source: 1, offset: 4, at: 250})
	if v := verdictOf(again); v.breaches != nil || v.again != 1 {
		t.Errorf("%+v", v)
	}
	away := sound() // a producer was killed, and its successor sent fewer items
	away["1-produce"] = slices.Insert(away["1-produce"], 10, record{event: intended, source: 1, offset: 10, at: 11})
	if v := verdictOf(away); v.breaches != nil {
		t.Errorf("%+v", v)
	}
	inGather := sound()
	inGather["5-gather"] = slices.Delete(inGather["5-gather"], 0, 1)
	if v := verdictOf(inGather); v.breaches != nil || v.unseen != 1 {
		t.Errorf("%+v", v)
	}
}

func TestCheckerFindsPlantedErrors(t *testing.T) {
	t.Parallel()
	remove := func(book string, i int) func(map[string][]record) {
		return func(b map[string][]record) { b[book] = slices.Delete(b[book], i, i+1) }
	}
	insert := func(book string, i int, r record) func(map[string][]record) {
		return func(b map[string][]record) { b[book] = slices.Insert(b[book], i, r) }
	}
	for name, plant := range map[string]struct {
		change func(map[string][]record)
		left   string
		want   string
	}{
		"a lost item":            {remove("5-gather", 2), "", "I1: source 1 item 7 was stored and has no result"},
		"a lost last item":       {remove("5-gather", 4), "", "I5: the channel was closed before source 1"},
		"a hole of two":          {func(b map[string][]record) { b["5-gather"] = b["5-gather"][2:] }, "", "I1: source 1 item 6"},
		"a double":               {insert("5-gather", 1, record{event: got, source: 1, offset: 5}), "", "I1: source 1 item 5 came twice"},
		"a double later":         {insert("5-gather", 4, record{event: got, source: 1, offset: 5}), "", "I3: source 1 item 5 came behind"},
		"a swap":                 {func(b map[string][]record) { g := b["5-gather"]; g[1], g[2] = g[2], g[1] }, "", "I3: source 1 item 6 came behind item 7"},
		"an error":               {func(b map[string][]record) { b["5-gather"][1].event = failed }, "", "I4: source 1 item 6 has an error"},
		"a result of nothing":    {insert("5-gather", 1, record{event: alien}), "", "I4: something"},
		"a result without a run": {remove("2-work", 9), "", "I4: source 1 item 4 has a result, and function 1 never ran"},
		"a result nobody sent":   {insert("5-gather", 5, record{event: got, source: 1, offset: 10}), "", "I2: source 1 item 10"},
		"an early end":           {func(b map[string][]record) { b["5-gather"][5].at = 19 }, "", "I5: the channel was closed before source 1"},
		"no end":                 {remove("5-gather", 5), "", "I5: the channel was closed 0 times"},
		"two ends":               {insert("4-killed", 5, record{event: closed, at: 300}), "", "I5: the channel was closed 2 times"},
		"an item behind the end": {insert("5-gather", 6, record{event: got, source: 1, offset: 10}), "", "I5: source 1 item 10 came behind the end"},
		"again after an end": {func(b map[string][]record) {
			b["4-killed"] = append(b["4-killed"], record{event: broken})
			b["5-gather"] = slices.Insert(b["5-gather"], 0, record{event: got, source: 1, offset: 4})
		}, "", "I1: source 1 items from 4 came twice"},
		"an end too short": {func(b map[string][]record) { b["1-produce"][10].offset = 9 }, "", "I1: source 1: 10 sent"},
		"two in one slot": {func(b map[string][]record) {
			b["4-killed"], b["5-gather"] = b["4-killed"][:4], b["5-gather"][1:]
		}, "", "I1: source 1 item 5"},
		"a second run":        {insert("2-work", 3, record{event: ran, source: 1, offset: 3}), "", "I8: 1 runs"},
		"a key":               {func(map[string][]record) {}, "leftover", "I6: the key leftover"},
		"a loss that is none": {insert("5-gather", 1, record{event: lost}), "", "I1: 1 items are told to be lost, 0 are"},
	} {
		books := sound()
		plant.change(books)
		left := []string{"allowed"}
		if plant.left != "" {
			left = append(left, plant.left)
		}
		breaches := verdictOf(books, left...).breaches
		if !slices.ContainsFunc(breaches, func(b string) bool { return strings.HasPrefix(b, plant.want) }) {
			t.Errorf("%s is not found: %q", name, breaches)
		}
	}
}

// Repeated runs are allowed within the bound, unless the first worker was able to complete its run
// and Redis has not lost that.
func TestCheckerFindsNeedlessRuns(t *testing.T) {
	t.Parallel()
	books := sound()
	books["2-work"] = append(books["2-work"], record{event: ran, source: 1, offset: 3, stage: 1})
	if breaches := joined(books, "").check(bounds{interrupted: 1, extra: 1}, nil).breaches; len(breaches) != 1 ||
		breaches[0] != "I8: source 1 item 3: function 1 ran 2 times in workers to which nothing happened" {
		t.Errorf("found %q", breaches)
	}
	if breaches := joined(books, "").check(bounds{interrupted: 1, extra: 1, again: true}, nil).breaches; breaches != nil {
		t.Errorf("where Redis forgets, found %q", breaches)
	}
	books["3-test"] = append(books["3-test"], record{event: ran, source: 1, offset: 4, stage: 0})
	if breaches := joined(books, "2-work").check(bounds{interrupted: 1, extra: 2}, nil).breaches; breaches != nil {
		t.Errorf("of a worker that was hurt, found %q", breaches)
	}
}

func TestCheckerBoundsMemory(t *testing.T) {
	t.Parallel()
	for used, want := range map[peaks]int{{10, 10}: 0, {11, 0}: 1, {0, 11}: 1} {
		c := joined(sound(), "")
		c.peaks = used
		breaches := c.check(bounds{interrupted: 1, use: 10}, nil).breaches
		if len(breaches) != want || want == 1 && breaches[0] != "I9: 11 KiB of memory were used, 10 may be" {
			t.Errorf("of %+v, found %q", used, breaches)
		}
	}
}

// Only a result of both functions proves an item.
func TestResultsProveTheirItems(t *testing.T) {
	t.Parallel()
	for _, offset := range []int64{1, 99, longOnes} {
		x, rest := split(item(3, offset))
		if source, at, ok := proves(join(negative(twiceAndOne(x)), rest)); source != 3 || at != offset || !ok {
			t.Errorf("the result of item %d is taken for that of %d of source %d, %v", offset, at, source, ok)
		}
		for what, result := range map[string]string{
			"the item": item(3, offset), "the first function": join(twiceAndOne(x), rest), "the second one": join(negative(x), rest),
			"the second before the first": join(twiceAndOne(negative(x)), rest), "the second one twice": join(negative(negative(twiceAndOne(x))), rest),
			"none, cut off": join(negative(twiceAndOne(x)), rest)[:1], "none, with a space": join(negative(twiceAndOne(x)), rest+" "),
			"none": "", "no number": "x" + rest,
		} {
			if _, at, ok := proves(result); ok && at == offset {
				t.Errorf("what %s makes of item %d proves it", what, offset)
			}
		}
	}
}
