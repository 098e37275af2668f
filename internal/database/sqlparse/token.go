package sqlparse

import (
	"encoding/binary"
	"errors"

	"github.com/wasilibs/go-pgquery/parser"
)

// token is a word of SQL as PostgreSQL's scanner cuts it.
type token struct {
	start, end int // bytes
	kind       uint64
}

// Kinds of tokens, of enum Token in libpg_query's pg_query.proto.
const (
	tokenDot          = 46
	tokenSemicolon    = 59
	tokenName         = 258
	tokenUnicodeName  = 259
	lastConstant      = 264
	tokenLineComment  = 275
	tokenBlockComment = 276
)

func (t token) comment() bool { return t.kind == tokenLineComment || t.kind == tokenBlockComment }

// scan cuts text into tokens, comments among them.
func scan(text string) ([]token, error) {
	data, err := parser.ScanToProtobuf(text)
	if err != nil {
		return nil, syntax("", text, err)
	}
	var tokens []token
	err = fields(data, func(field int, _ uint64, message []byte) error {
		if field != 2 { // ScanResult.tokens
			return nil
		}
		var t token
		err := fields(message, func(field int, value uint64, _ []byte) error {
			switch field { // of ScanToken
			case 1:
				t.start = int(value)
			case 2:
				t.end = int(value)
			case 4:
				t.kind = value
			}
			return nil
		})
		tokens = append(tokens, t)
		return err
	})
	return tokens, err
}

var errWire = errors.New("the scanner's answer can not be read")

// fields reads a message of protocol buffers that has varints and messages
// only (protobuf.dev/programming-guides/encoding).
func fields(data []byte, each func(field int, value uint64, message []byte) error) error {
	for len(data) > 0 {
		key, n := binary.Uvarint(data)
		if n <= 0 {
			return errWire
		}
		data = data[n:]
		value, n := binary.Uvarint(data)
		if n <= 0 {
			return errWire
		}
		data = data[n:]
		var message []byte
		switch key & 7 {
		case 0: // a varint
		case 2: // as many bytes as its length says
			if value > uint64(len(data)) {
				return errWire
			}
			message, data = data[:value], data[value:]
		default:
			return errWire
		}
		if err := each(int(key>>3), value, message); err != nil {
			return err
		}
	}
	return nil
}
