package sqltext

import (
	"slices"
	"strings"
)

// Statement is what a server is sent at once, in its place of a text.
type Statement struct {
	Text   string  // without what ends it and what is around it; "" for a rest that holds no statement
	Offset int     // of Text, in bytes from 0
	Line   int     // of Text, from 1
	Raw    string  // from the end of the statement before, with what ends this one
	Tokens []Token // of Raw
}

// Words are the first words and names of the statement, at most n.
func (s Statement) Words(n int) []Token {
	var words []Token
	for _, t := range s.Tokens {
		if len(words) == n {
			break
		}
		if t.Kind == Word || t.Kind == Name {
			words = append(words, t)
		}
	}
	return words
}

// Begins reports whether the statement begins with these words, given in
// capitals.
func (s Statement) Begins(words ...string) bool {
	first := s.Words(len(words))
	if len(first) < len(words) {
		return false
	}
	for i, w := range words {
		if !first[i].Is(w) {
			return false
		}
	}
	return true
}

// Has reports whether one of the words, given in capitals, is anywhere in the
// statement outside of quotes, comments and parentheses.
func (s Statement) Has(words ...string) bool {
	depth := 0
	for _, t := range s.Tokens {
		switch t.Text {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 && t.Is(words...) {
			return true
		}
	}
	return false
}

// Split cuts a text into statements, the last of which may be empty. Their Raw
// joins up to the text. The error is of type *Error.
func Split(d Dialect, text string) ([]Statement, error) {
	s := splitter{scanner: scanner{dialect: d, text: text, line: 1}, delimiter: ";"}
	for s.at < len(s.text) {
		if s.ends() {
			continue
		}
		t, err := s.next()
		if err != nil {
			return nil, err
		}
		s.add(t)
		if t.Text == ";" && t.Kind == Symbol && s.delimiter == ";" && s.depth() == 0 {
			s.close(t.Offset)
		}
	}
	if s.start < len(s.text) {
		s.close(len(s.text))
	}
	return s.all, nil
}

type splitter struct {
	scanner
	delimiter string
	all       []Statement
	start     int     // of the statement
	tokens    []Token // of the statement
	words     []Token // its first words
	parens    int
	begins    int // blocks that are open in the body of a function
	tail      []Token
}

// ends handles what MySQL's client handles before it looks at the text: the
// command that changes the delimiter, and a delimiter of more than one byte.
func (s *splitter) ends() bool {
	if s.dialect != MySQL {
		return false
	}
	rest := s.text[s.at:]
	if s.delimiter != ";" && strings.HasPrefix(rest, s.delimiter) {
		at := s.at
		s.add(Token{Kind: Symbol, Text: s.delimiter, Offset: s.at, Line: s.line})
		s.at += len(s.delimiter)
		s.close(at)
		return true
	}
	const command = "DELIMITER "
	if len(s.words) > 0 || len(rest) <= len(command) || !strings.EqualFold(rest[:len(command)], command) {
		return false
	}
	line := rest[:lineLength(rest)]
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return false
	}
	s.delimiter = fields[1]
	s.add(Token{Kind: Comment, Text: line, Offset: s.at, Line: s.line}) // the server never sees it
	s.at += len(line)
	return true
}

func (s *splitter) add(t Token) {
	s.tokens = append(s.tokens, t)
	switch {
	case !t.Meaningful():
		return
	case t.Text == "(":
		s.parens++
	case t.Text == ")":
		s.parens = max(0, s.parens-1)
	case t.Kind == Word || t.Kind == Name:
		if len(s.words) < 5 {
			s.words = append(s.words, t)
		}
		s.block(t)
	}
	s.tail = append(s.tail, t)
	s.tail = s.tail[max(0, len(s.tail)-3):]
}

// block counts the blocks of a body in standard SQL, by the rule of psql.
func (s *splitter) block(t Token) {
	if s.dialect != PostgreSQL || s.parens > 0 || !s.creates("FUNCTION", "PROCEDURE") {
		return
	}
	switch {
	case t.Is("BEGIN"), t.Is("CASE") && s.begins > 0:
		s.begins++
	case t.Is("END") && s.begins > 0:
		s.begins--
	}
}

// creates reports whether the statement is CREATE of one of these.
func (s *splitter) creates(what ...string) bool {
	words := s.words
	if len(words) < 2 || !words[0].Is("CREATE") {
		return false
	}
	words = words[1:]
	switch {
	case len(words) > 2 && words[0].Is("OR") && words[1].Is("REPLACE"):
		words = words[2:]
	case len(words) > 1 && words[0].Is("TEMP", "TEMPORARY"):
		words = words[1:]
	}
	return words[0].Is(what...)
}

// depth is 0 where a semicolon ends the statement.
func (s *splitter) depth() int {
	switch s.dialect {
	case PostgreSQL:
		return s.parens + s.begins
	case SQLite:
		// The rule of sqlite3_complete: a trigger ends with ";END;".
		if ended := len(s.tail) == 3 && s.tail[0].Text == ";" && s.tail[1].Is("END"); s.creates("TRIGGER") && !ended {
			return 1
		}
	case MySQL:
	}
	return 0
}

// close ends the statement whose text ends at a place; where its delimiter
// ends the next one begins.
func (s *splitter) close(end int) {
	st := Statement{Raw: s.text[s.start:s.at], Tokens: s.tokens, Offset: s.at, Line: s.line}
	first := slices.IndexFunc(s.tokens, Token.Meaningful)
	if first >= 0 && s.tokens[first].Offset < end {
		st.Offset, st.Line = s.tokens[first].Offset, s.tokens[first].Line
		last := len(s.tokens) - 1
		for !s.tokens[last].Meaningful() || s.tokens[last].Offset >= end {
			last--
		}
		st.Text = s.text[st.Offset : s.tokens[last].Offset+len(s.tokens[last].Text)]
	}
	s.all = append(s.all, st)
	*s = splitter{scanner: s.scanner, delimiter: s.delimiter, all: s.all, start: s.at}
}
