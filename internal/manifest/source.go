package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a manifest. They are far above what an app needs and keep the
// parser, whose time and stack grow with all three, harmless.
const (
	maxBytes  = 1 << 20
	maxTokens = 20_000
	maxDepth  = 64 // open brackets; twice as many characters of indentation
)

// load turns the bytes into the root of the syntax tree.
func (d *decoder) load(data []byte) (value, bool) {
	start := spot{1, 1}
	if len(data) > maxBytes {
		d.wrong(start, "", fmt.Sprintf("the file is larger than 1 MiB (%d bytes)", len(data)),
			"A manifest is a few kilobytes. Move data into files of their own.")
		return value{}, false
	}
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	d.lines = strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if !d.characters() {
		return value{}, false
	}
	tokens := lexer.Tokenize(text)
	if !d.bounded(tokens) || !d.plain(tokens) {
		return value{}, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return value{}, false
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		d.wrong(start, "", "the file is empty", "Run \"noon init\" to get a first manifest.")
		return value{}, false
	}
	return newValue(file.Docs[0].Body, "", start), true
}

// characters refuses bytes that are not text.
func (d *decoder) characters() bool {
	before := len(d.mistakes)
	for i, line := range d.lines {
		if len(d.mistakes)-before >= maxShown {
			break // not a text file
		}
		column := 0
		for at, r := range line {
			column++
			if r == utf8.RuneError && !strings.HasPrefix(line[at:], string(utf8.RuneError)) {
				d.wrong(spot{i + 1, column}, "", "the file is not UTF-8 text", "Save the file as UTF-8.")
				return false
			}
			if unicode.IsControl(r) && r != '\t' {
				d.wrong(spot{i + 1, column}, "", fmt.Sprintf("control character %U", r),
					`Remove it; where a value needs it, write an escape such as "\u001b" in double quotes.`)
				break
			}
		}
	}
	return len(d.mistakes) == before
}

// bounded refuses a document that would cost the parser too much.
func (d *decoder) bounded(tokens token.Tokens) bool {
	depth, count := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.CommentType:
			continue
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		default:
		}
		count++
		if depth > maxDepth || depth == 0 && indentation(t) > 2*maxDepth {
			d.wrong(spotOf(t), "", "nested too deeply", "A manifest needs six levels at most; look for brackets that are not closed.")
			return false
		}
		if count > maxTokens {
			d.wrong(spotOf(t), "", "too many keys and values", fmt.Sprintf("A manifest has at most %d of them.", maxTokens))
			return false
		}
	}
	return true
}

// indentation gives how far in a key or an item begins: no block is nested
// deeper than that.
func indentation(t *token.Token) int {
	switch {
	case t.Type == token.SequenceEntryType:
		return t.Position.Column
	case t.Type == token.MappingValueType && t.Prev != nil:
		return t.Prev.Position.Column
	}
	return 0
}

// plain refuses the parts of YAML that a manifest does without. They make a
// small file large or a plain one hard to read.
func (d *decoder) plain(tokens token.Tokens) bool {
	before := len(d.mistakes)
	const second, one = "a second document begins here", "A manifest is one document: one app. Remove the line \"---\" or \"...\" before it."
	content, ended := false, false
	for _, t := range tokens {
		what, hint := "", ""
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			what, hint = "anchors, aliases and merge keys are not part of a manifest", "Write the value out where it is needed; put text that begins with & or * in quotes."
		case token.TagType:
			what, hint = "tags are not part of a manifest", "Remove the tag; put text that begins with ! in quotes."
		case token.DirectiveType:
			what, hint = "directives are not part of a manifest", "Remove the line; put text that begins with % in quotes."
		case token.MappingKeyType:
			what, hint = `keys written with "?" are not part of a manifest`, `Write "key: value".`
		case token.DocumentHeaderType:
			if content {
				what, hint = second, one
			}
		case token.DocumentEndType:
			ended = true
			continue
		case token.CommentType:
			continue
		default:
			if content = true; ended { // the parser would not even mention it
				what, hint, ended = second, one, false
			}
		}
		if what != "" {
			d.wrong(spotOf(t), "", what, hint)
		}
	}
	return len(d.mistakes) == before
}

// syntax records what the parser stumbled over.
func (d *decoder) syntax(err error) {
	for i, line := range d.lines {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if at := strings.IndexByte(indent, '\t'); at >= 0 && strings.TrimSpace(line) != "" {
			d.wrong(spot{i + 1, at + 1}, "", "a tab in the indentation", "YAML is indented with spaces: replace the tab by spaces.")
			return
		}
	}
	at, message := spot{1, 1}, err.Error()
	if syntax, ok := errors.AsType[yaml.Error](err); ok {
		message = syntax.GetMessage()
		if t := syntax.GetToken(); t != nil {
			at = spotOf(t)
		}
	}
	d.wrong(at, "", "this is not YAML: "+strings.Join(strings.Fields(message), " "),
		"Look at the indentation, quotes and brackets here and just above. Text with a colon, # or @ needs quotes.")
}

func spotOf(t *token.Token) spot {
	return spot{max(t.Position.Line, 1), max(t.Position.Column, 1)}
}

// textToken is a token that no file holds.
func textToken(text string) *token.Token {
	return token.New(text, text, &token.Position{Line: 1, Column: 1})
}
