package sqlparse

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/wasilibs/go-pgquery/parser"
)

// Statement is one statement of a script.
type Statement struct {
	Text     string    // without comments around it and without the semicolon
	Offset   int       // bytes of the script before Text
	Line     int       // of the script, from 1
	Kind     string    // of the tree: "AlterTableStmt"
	Tree     Node      // its offsets count from the beginning of the script
	Long     []string  // names over 63 bytes, which the server cuts
	Comments []Comment // those before it, after the statement before
}

// Comment is a comment of a script.
type Comment struct {
	Text string // with its marks: "-- like this"
	Line int    // of the script, from 1
}

// MaxName is how many bytes of a name PostgreSQL keeps (NAMEDATALEN - 1).
const MaxName = 63

// Statements reads a script. A mistake in it is an *Error; then there are no
// statements at all, as PostgreSQL runs none of them.
func Statements(sql string) ([]Statement, error) {
	tree, err := parse("", sql)
	if err != nil {
		return nil, err
	}
	tokens, err := scan(sql)
	if err != nil {
		return nil, err
	}
	raw := tree.Nodes("stmts")
	statements := make([]Statement, len(raw))
	for i, r := range raw {
		end := len(sql)
		if n := r.Int("stmt_len"); n > 0 {
			end = r.Int("stmt_location") + n
		}
		node := r.Node("stmt")
		s := &statements[i]
		*s = Statement{Kind: node.Kind, Tree: node}
		tokens = s.cut(sql, tokens, end)
	}
	return statements, nil
}

// cut takes the tokens of the statement that ends at end, and returns those
// after it.
func (s *Statement) cut(sql string, tokens []token, end int) []token {
	first, last := -1, 0
	for len(tokens) > 0 && tokens[0].start < end {
		t := tokens[0]
		tokens = tokens[1:]
		switch {
		case t.comment() && first < 0:
			line, _ := place(sql, t.start)
			s.Comments = append(s.Comments, Comment{Text: sql[t.start:t.end], Line: line})
		case t.comment(), t.kind == tokenSemicolon && (first < 0 || t.end >= end):
		case first < 0:
			first = t.start
			fallthrough
		default:
			last = t.end
			if name := name(sql[t.start:t.end]); (t.kind == tokenName || t.kind == tokenUnicodeName) && len(name) > MaxName {
				s.Long = append(s.Long, name)
			}
		}
	}
	if first >= 0 {
		s.Offset, s.Text = first, sql[first:last]
		s.Line, _ = place(sql, first)
	}
	return tokens
}

// name is a name without its quotes.
func name(text string) string {
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		return strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `""`, `"`)
	}
	return text
}

// parse reads prefix and text together; errors count from the beginning of text.
func parse(prefix, text string) (tree Node, err error) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return Node{}, at(text, i, "a byte of value zero can not stand in SQL")
	}
	if !utf8.ValidString(text) {
		return Node{}, at(text, invalid(text), "invalid byte sequence for encoding \"UTF8\"")
	}
	tokens, err := scan(text)
	if err != nil {
		return Node{}, err
	}
	if i := deep(text, tokens); i >= 0 {
		return Node{}, at(text, i, "this is nested more than %d deep, which is more than noon reads", maxDepth)
	}
	defer func() {
		if broken := recover(); broken != nil { // the grammar's machine has stopped, not this one
			tree, err = Node{}, fmt.Errorf("parse SQL: the parser broke: %v", broken)
		}
	}()
	answer, err := parser.ParseToJSON(prefix + text)
	if err != nil {
		return Node{}, syntax(prefix, text, err)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(answer), &fields); err != nil {
		return Node{}, fmt.Errorf("read the parse tree: %w", err)
	}
	return Node{fields: fields}, nil
}

// invalid is where text stops being UTF-8.
func invalid(text string) int {
	for i, r := range text {
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return i
			}
		}
	}
	return len(text)
}
