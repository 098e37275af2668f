package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// trouble is why a text is refused, with what to do about it.
type trouble struct{ message, hint string }

func (t *trouble) Error() string { return t.message }

// hintOf gives the hint of a trouble.
func hintOf(err error, otherwise string) string {
	if t, ok := errors.AsType[*trouble](err); ok && t.hint != "" {
		return t.hint
	}
	return otherwise
}

const useShell = `No shell is run. Put the text in single quotes, or ask for a shell: [sh, -c, "…"].`

// splitCommand splits a command line into arguments as a POSIX shell would:
// blanks, single and double quotes, backslashes. Nothing is expanded; what a
// shell would act on is refused, because its silent absence surprises.
func splitCommand(line string) ([]string, error) {
	s := splitter{rest: []rune(line)}
	for len(s.rest) > 0 {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	s.end()
	return s.args, nil
}

type splitter struct {
	rest []rune
	word strings.Builder
	open bool // a word has begun, be it empty as in ''
	args []string
}

func (s *splitter) take() rune {
	r := s.rest[0]
	s.rest = s.rest[1:]
	return r
}

func (s *splitter) add(r rune) {
	s.word.WriteRune(r)
	s.open = true
}

func (s *splitter) end() {
	if s.open {
		s.args = append(s.args, s.word.String())
		s.word.Reset()
		s.open = false
	}
}

func (s *splitter) next() error {
	switch r := s.take(); r {
	case ' ', '\t', '\n', '\r':
		s.end()
	case '\'':
		return s.single()
	case '"':
		return s.double()
	case '\\':
		return s.escape()
	case '|', '&', ';', '<', '>':
		return &trouble{fmt.Sprintf("%q is for a shell", r), useShell}
	default:
		if s.expands(r) {
			return &trouble{fmt.Sprintf("%q would be expanded by a shell, here it is not", r), useShell}
		}
		s.add(r)
	}
	return nil
}

// expands reports whether a shell would replace what r begins.
func (s *splitter) expands(r rune) bool {
	if r == '`' {
		return true
	}
	if r != '$' || len(s.rest) == 0 {
		return false
	}
	n := s.rest[0]
	return n == '{' || n == '(' || n == '_' || n >= 'a' && n <= 'z' || n >= 'A' && n <= 'Z' || n >= '0' && n <= '9'
}

func (s *splitter) single() error {
	s.open = true
	for len(s.rest) > 0 {
		r := s.take()
		if r == '\'' {
			return nil
		}
		s.add(r)
	}
	return &trouble{"a single quote is not closed", `Close it, or write \' for the character itself.`}
}

func (s *splitter) double() error {
	s.open = true
	for len(s.rest) > 0 {
		r := s.take()
		switch {
		case r == '"':
			return nil
		case r == '\\' && len(s.rest) > 0 && strings.ContainsRune("$`\"\\\n", s.rest[0]):
			if r = s.take(); r != '\n' {
				s.add(r)
			}
		case s.expands(r):
			return &trouble{fmt.Sprintf("%q would be expanded by a shell, here it is not", r), useShell}
		default:
			s.add(r)
		}
	}
	return &trouble{"a double quote is not closed", `Close it, or write \" for the character itself.`}
}

func (s *splitter) escape() error {
	if len(s.rest) == 0 {
		return &trouble{"a backslash at the end has nothing to escape", `Remove it, or write \\ for the character itself.`}
	}
	if r := s.take(); r != '\n' {
		s.add(r)
	}
	return nil
}
