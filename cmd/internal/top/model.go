package top

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/dqbridge/dqbridge/internal/doctor"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// A mode says what keys do and what the body shows.
type mode int

const (
	browsing mode = iota
	typing        // a filter
	reading       // the details of a row
	advised       // by the doctor
	helping
)

// A model is the state of the screen.
type model struct {
	place         string
	width, height int
	now           time.Time
	view          watch.View
	found         []doctor.Finding // in the view, that need attention
	panes         []pane
	current       int // pane
	mode          mode
	typed         string // text of the filter
	skipped       int    // lines of the details above the screen

	requests chan<- action // to act
	proposed action        // the last one that the user was asked about
	asking   bool          // about proposed
	acting   bool          // proposed is under way
	said     string        // about the last action, until the next key
	tone     lipgloss.Style
}

func newModel(place string, requests chan<- action) *model {
	m := &model{place: place, panes: panes(), width: 80, height: 24, requests: requests}
	m.load()
	return m
}

// load examines the view and gives it to all panes.
func (m *model) load() {
	if !m.view.At.IsZero() {
		m.found = doctor.Urgent(m.view.Findings())
	}
	for _, p := range m.panes {
		p.load(m.view)
	}
}

// Init returns nil: all messages come from outside.
func (m *model) Init() tea.Cmd { return nil }

// Update takes a message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case viewMsg:
		m.view, m.now = msg.view, msg.now
		m.load()
	case clockMsg:
		m.now = time.Time(msg)
	case actedMsg:
		m.acted(msg)
	case tea.PasteMsg:
		if m.mode == typing && !m.asking {
			line, _, _ := strings.Cut(msg.Content, "\n")
			m.edit("", line)
		}
	case tea.KeyPressMsg:
		cmd = m.press(msg)
	}
	m.pane().scroll(max(0, m.body()-1))
	return m, cmd
}

func (m *model) pane() pane { return m.panes[m.current] }

// say shows a text at the bottom until the next key.
func (m *model) say(tone lipgloss.Style, text string) { m.tone, m.said = tone, clean(text) }

// press handles a key.
func (m *model) press(key tea.KeyPressMsg) tea.Cmd {
	name := key.String()
	if name == "ctrl+c" {
		return tea.Quit
	}
	m.said = ""
	switch {
	case m.asking:
		m.answer(name)
	case m.mode == typing:
		m.edit(name, key.Text)
	case (name == "p" || name == "c") && (m.mode == browsing || m.mode == reading):
		m.propose(name)
	case m.mode != browsing:
		m.leaf(name)
	default:
		return m.browse(name)
	}
	return nil
}

// browse handles a key while a table is shown.
func (m *model) browse(name string) tea.Cmd {
	page := max(1, m.body()-2)
	switch name {
	case "q":
		return tea.Quit
	case "1", "2", "3", "4", "5":
		m.current = int(name[0] - '1')
	case "tab", "right":
		m.current = (m.current + 1) % len(m.panes)
	case "shift+tab", "left":
		m.current = (m.current + len(m.panes) - 1) % len(m.panes)
	case "up", "k":
		m.pane().move(-1)
	case "down", "j":
		m.pane().move(1)
	case "pgup":
		m.pane().move(-page)
	case "pgdown", "space":
		m.pane().move(page)
	case "home", "g":
		m.pane().move(-1 << 30)
	case "end", "G":
		m.pane().move(1 << 30)
	case "s":
		m.pane().sortNext()
	case "S":
		m.pane().sortBack()
	case "/":
		m.mode, m.typed = typing, m.pane().status().pattern
	case "esc":
		m.pane().filter("")
	case "enter":
		m.mode, m.skipped = reading, 0
	case "d":
		m.mode, m.skipped = advised, 0
	case "?":
		m.mode, m.skipped = helping, 0
	}
	return nil
}

// leaf handles a key while a text is shown.
func (m *model) leaf(name string) {
	switch name {
	case "q", "esc", "enter", "d", "?":
		m.mode = browsing
	case "up", "k":
		m.skipped--
	case "down", "j":
		m.skipped++
	case "pgup":
		m.skipped -= m.body()
	case "pgdown", "space":
		m.skipped += m.body()
	}
	m.skipped = max(0, min(m.skipped, len(m.text())-m.body()))
}

// edit handles a key while a filter is typed. Each change shows its rows.
func (m *model) edit(name, text string) {
	switch name {
	case "enter":
		m.mode = browsing
	case "esc":
		m.mode, m.typed = browsing, ""
	case "backspace":
		if runes := []rune(m.typed); len(runes) > 0 {
			m.typed = string(runes[:len(runes)-1])
		}
	default:
		m.typed += text
	}
	m.pane().filter(m.typed)
}
