package ledger

import (
	"context"
	"io/fs"
)

// WithSchema replaces the embedded migrations.
func WithSchema(schema fs.FS) Option { return func(l *Ledger) { l.schema = schema } }

// Schema is the embedded migrations.
func Schema() fs.FS { return embedded() }

// WriterExec runs a statement on the one connection that writes.
func (l *Ledger) WriterExec(ctx context.Context, text string) error {
	_, err := l.writer.ExecContext(ctx, text)
	return err
}

// WriterInt reads a number on the one connection that writes.
func (l *Ledger) WriterInt(ctx context.Context, text string) (n int, err error) {
	err = l.writer.QueryRowContext(ctx, text).Scan(&n)
	return n, err
}

// ReaderExec runs a statement on a connection that reads.
func (l *Ledger) ReaderExec(ctx context.Context, text string) error {
	_, err := l.reader.ExecContext(ctx, text)
	return err
}
