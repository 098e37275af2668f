package sqlparse

import "strings"

// maxDepth bounds how deeply SQL may be nested. The stack of the grammar's
// machine is small, and what overflows it overwrites the machine's memory: from
// 250 subqueries or 300 calls in each other it breaks or never ends.
const maxDepth = 200

// deep is where a text may be nested deeper than maxDepth, -1 if nowhere. It
// counts on the safe side: what is open, and in each of those everything since
// the last separator that could be an operator on what stands before it.
func deep(text string, tokens []token) int {
	levels := []int{0}
	depth := 0
	for _, t := range tokens {
		top := len(levels) - 1
		switch t.nesting(text) {
		case opens:
			levels = append(levels, 0)
			depth++
		case closes:
			if top > 0 {
				depth -= levels[top] + 1
				levels = levels[:top]
			}
		case separates:
			depth -= levels[top]
			levels[top] = 0
		case operates:
			levels[top]++
			depth++
		case operand:
		}
		if depth > maxDepth {
			return t.start
		}
	}
	return -1
}

// nesting is what a token does to the depth of a tree.
type nesting int

const (
	operand nesting = iota
	operates
	opens
	closes
	separates
)

func (t token) nesting(text string) nesting {
	if t.comment() || t.kind == tokenDot || t.kind >= tokenName && t.kind <= lastConstant {
		return operand
	}
	switch strings.ToLower(text[t.start:t.end]) {
	case "(", "[", "case":
		return opens
	case ")", "]", "end":
		return closes
	case ",", ";", "and", "or", "when", "then", "else", "from", "where":
		return separates
	}
	return operates
}
