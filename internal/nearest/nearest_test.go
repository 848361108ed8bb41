package nearest

import "testing"

func TestNearestName(t *testing.T) {
	names := []string{"inc", "double", "upper", "sleep"}
	for name, want := range map[string]string{
		"icn": "inc", "Duble": "double", "uper": "upper", "xyz": "", "": "", "inx": "inc", "ix": "", "sleeping": "", "--slep": "sleep",
	} {
		if got := Name(name, names); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
}

func TestTypoIsAtMostTwoEdits(t *testing.T) {
	names := []string{"resize", "thumbnail_small", "f"}
	for name, want := range map[string]string{
		"risize": "resize", "rezise": "resize", "Resized": "resize", "resize": "", "g": "", "": "", "thumbnail_large": "", "thumbnail_smell": "thumbnail_small",
	} {
		if got := Typo(name, names); got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
}

func TestSuggestListsNamesIfNoneIsNear(t *testing.T) {
	for want, names := range map[string][]string{
		"did you mean inc?":    {"double", "inc"},
		"there are double, up": {"up", "double", "up"},
		"there is up":          {"up"},
		"there is none":        nil,
	} {
		if got := Suggest("icn", names); got != want {
			t.Errorf("%v: %q, not %q", names, got, want)
		}
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	for pair, want := range map[[2]string]int{
		{"", ""}: 0, {"", "pipe"}: 4, {"pipe", ""}: 4, {"pipe", "pipe"}: 0, {"pip", "ppi"}: 1,
		{"ppe", "pipe"}: 1, {"pipes", "pipe"}: 1, {"pape", "pipe"}: 1, {"kitten", "sitting"}: 3,
	} {
		if got := distance(pair[0], pair[1]); got != want {
			t.Errorf("%q: got %d, want %d", pair, got, want)
		}
	}
}
