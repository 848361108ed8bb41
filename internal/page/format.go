package page

import (
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a page shows of one value.
const (
	maxText = 4 << 10 // bytes of an item or of a message
	maxName = 200     // bytes of a name
)

// functions returns the functions of the templates.
func (p *Page) functions() template.FuncMap {
	functions := template.FuncMap{
		"include": p.include, "asset": p.asset, "link": p.link,
		"name": func(s any) string { return clean(fmt.Sprint(s), maxName) }, "text": func(s string) string { return clean(s, maxText) },
		"chain": chain, "num": number[int64], "count": number[int], "rate": rate, "percent": percent, "duration": duration, "bytes": byteSize,
		"since": since, "stamp": stamp, "clock": clock, "add": func(a, b int) int { return a + b }, "bar": bar, "batchsize": batchSize,
	}
	maps.Copy(functions, p.words())
	return functions
}

// link returns the address of a page of this handler, with parameters given as names and values.
func (p *Page) link(path string, params ...any) string {
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		if value := fmt.Sprint(params[i+1]); value != "" && value != "0" || fmt.Sprint(params[i]) == "offset" {
			q.Set(fmt.Sprint(params[i]), value)
		}
	}
	address := p.Prefix + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	return address
}

// clean returns a text for a page: cut to most bytes, and with escapes in place of characters that have
// no form of their own or change the direction of the text around them.
func clean(s string, most int) string {
	whole := len(s)
	if whole > most {
		end := most
		for end > most-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	if whole > len(s) {
		fmt.Fprintf(&b, "… (%s in all)", byteSize(int64(whole)))
	}
	return b.String()
}

// chain returns the functions of a flow as one text.
func chain(functions []string) string { return clean(strings.Join(functions, " → "), maxName) }

// number returns a number with commas between thousands.
func number[N int | int64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// rate returns items a second.
func rate(r float64) string {
	switch {
	case r == 0:
		return "0/s"
	case r >= 100:
		return number(int64(r+0.5)) + "/s"
	case r >= 0.1:
		return fmt.Sprintf("%.1f/s", r)
	default:
		return fmt.Sprintf("%.2g/s", r)
	}
}

func percent(part float64) string {
	if part > 0 && part < 0.01 {
		return "< 1 %"
	}
	return fmt.Sprintf("%.0f %%", part*100)
}

// duration returns a time in the two largest units that it has.
func duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", max(1, d.Microseconds()))
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}

func byteSize(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return number(n) + " B"
}

// stamp returns a time for programs.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// clock returns a time for people.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// bar returns the length of a bar, of at most width, that shows a part.
func bar(part float64, width float64) string {
	return strconv.FormatFloat(max(0, min(1, part))*width, 'f', 1, 64)
}
