package top

import (
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
)

// The smallest screen that shows something useful.
const (
	minWidth  = 30
	minHeight = 8
)

var help = []string{
	"1 2 3 4 5    flows, stages, workers, queues, errors; also Tab",
	"up down      choose a row; also j k, Page Up, Page Down, Home, End",
	"Enter        all fields of the row, and what belongs to it",
	"/            filter by a part of a cell or a pattern: orders*; Esc: all rows",
	"s  S         sort by the next column; the other way round",
	"d            all findings of the doctor, with what to do",
	"p            pause the stage, or the one that reads the queue; or resume it",
	"c            cancel the item that the stage or the worker has run for longest",
	"?            this help",
	"q            quit; back from the details",
	"",
	"p and c ask first, and act as dqbridge pause, resume and cancel do.",
	"The numbers are those of dqbridge flows, stages, workers, queues, errors.",
}

// View returns the screen: exactly height lines of at most width characters.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	return v
}

func (m *model) screen() []string {
	if m.width < minWidth || m.height < minHeight {
		return []string{cut(fmt.Sprintf("%dx%d is too small", m.width, m.height), m.width)}
	}
	lines, bottom := append(m.top(), m.middle()...), m.bottom()
	for len(lines) < m.height-len(bottom) {
		lines = append(lines, "")
	}
	lines = append(lines[:m.height-len(bottom)], bottom...)
	for i := range lines {
		lines[i] = cut(lines[i], m.width)
	}
	return lines
}

// top returns the banner and the names of the panes.
func (m *model) top() []string { return append(banner(m.view, m.found, m.place, m.now), m.tabs()) }

// body returns the number of lines between top and bottom.
func (m *model) body() int { return max(0, m.height-len(m.bottom())-len(m.top())) }

func (m *model) tabs() string {
	names := make([]string, 0, len(m.panes))
	for i, p := range m.panes {
		name := fmt.Sprintf("%d %s %d", i+1, p.title(), p.status().all)
		if i == m.current {
			name = chosenStyle.Render("[" + name + "]")
		} else {
			name = " " + name + " "
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// middle returns the lines of the body.
func (m *model) middle() []string {
	if m.mode == browsing || m.mode == typing {
		return m.pane().lines(m.width)
	}
	text := m.text()
	from := max(0, min(m.skipped, len(text)))
	return text[from:min(from+m.body(), len(text))]
}

// text returns the lines of the text that takes the place of a table.
func (m *model) text() []string {
	switch m.mode {
	case helping:
		return help
	case advised:
		return advices(m.found, m.width)
	}
	return m.pane().details(m.width)
}

// bottom returns the line of keys, or the lines about an action.
func (m *model) bottom() []string {
	switch {
	case m.asking:
		lines := m.styled(warnStyle, m.proposed.name+"? "+m.proposed.about)
		return append(lines, headStyle.Render("y: yes; any other key: no"))
	case m.acting:
		return m.styled(warnStyle, "under way: "+m.proposed.name)
	case m.said != "":
		return m.styled(m.tone, m.said)
	}
	return []string{m.keys()}
}

// styled wraps a text into some lines, which leave room for the tables.
func (m *model) styled(tone lipgloss.Style, text string) []string {
	lines := wrap(clean(text), m.width)
	if most := max(1, m.height/4); len(lines) > most {
		lines = append(lines[:most-1], strings.Join(lines[most-1:], " ")) // which is cut
	}
	for i := range lines {
		lines[i] = tone.Render(cut(lines[i], m.width))
	}
	return lines
}

// keys returns the line of keys, or the filter while it is typed.
func (m *model) keys() string {
	s := m.pane().status()
	switch m.mode {
	case typing:
		return "filter: " + clean(m.typed) + "_   Enter keeps it, Esc shows all rows"
	case reading, advised, helping:
		return "Esc back  up/down scroll  ? help"
	}
	var parts []string
	if s.sort != "" {
		parts = append(parts, "sort: "+s.sort)
	}
	if s.pattern != "" {
		parts = append(parts, fmt.Sprintf("filter: %s, %d of %d", clean(s.pattern), s.shown, s.all))
	}
	if s.pages > 1 {
		parts = append(parts, fmt.Sprintf("page %d of %d", s.page, s.pages))
	}
	return strings.Join(append(parts, "q quit  / filter  s sort  Enter details  p pause  c cancel  d doctor  ? help"), "  ")
}
