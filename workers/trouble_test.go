package workers

import "testing"

func TestTroubleLowersConcurrencyAndRecovers(t *testing.T) {
	x := newTrouble()
	for range 16 {
		if !x.begin() {
			t.Fatal("a call may not begin")
		}
	}
	first := x.unavailable(itemID{"s", 1})
	if second := x.unavailable(itemID{"s", 2}); first.rest != firstRest || first.row != 1 || second != (verdict{}) {
		t.Errorf("got %+v, then %+v", first, second)
	}
	if !x.rests() || x.begin() || x.limit != 8 {
		t.Errorf("rests: %v, limit %d", x.rests(), x.limit)
	}
	for range 16 {
		x.end(false)
	}
	x.until.Store(1)
	for range recovery {
		if !x.begin() {
			t.Fatal("a call may not begin after the rest")
		}
		x.end(true)
	}
	if x.limit != 9 || x.row != 0 {
		t.Errorf("limit %d, row %d", x.limit, x.row)
	}
}

func TestTroubleRestsLonger(t *testing.T) {
	x := newTrouble()
	var last verdict
	for range 20 {
		x.until.Store(1)
		last = x.unavailable(itemID{"s", 1})
	}
	if last.rest != longestRest || last.row != 20 || last.blamed {
		t.Errorf("got %+v", last)
	}
}

func TestTroubleBlamesAnItem(t *testing.T) {
	x := newTrouble()
	for i := range maxBlame {
		if v := x.unavailable(itemID{"s", 1}); v.blamed != (i == maxBlame-1) {
			t.Errorf("%d: %+v", i, v)
		}
		if x.unavailable(itemID{"s", int64(100 + i)}).blamed {
			t.Error("another item is blamed")
		}
		x.calls++
		x.end(i == 0)
	}
	for i := range 3 * maxBlamed {
		x.unavailable(itemID{"s", int64(1000 + i)})
	}
	if len(x.items) > maxBlamed {
		t.Errorf("%d items are kept", len(x.items))
	}
}
