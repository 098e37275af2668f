package cert

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo makes a zap logger, which certmagic wants, that writes to log.
func zapTo(log *slog.Logger) *zap.Logger { return zap.New(core{log: log}) }

// core hands entries of zap to slog. What certmagic finds worth a line at info
// is of interest to somebody who debugs.
type core struct{ log *slog.Logger }

func (c core) level(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelWarn // it goes on, and tries again
	case l == zapcore.WarnLevel:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// Enabled reports whether a level is logged.
func (c core) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), c.level(l))
}

// With gives a core that adds fields to every entry.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{log: slog.New(c.log.Handler().WithAttrs(attrs(fields)))}
}

// Check is asked before an entry is built.
func (c core) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write logs one entry.
func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	all := append([]slog.Attr{slog.String("what", e.Message), slog.String("part", e.LoggerName)}, attrs(fields)...)
	c.log.LogAttrs(context.Background(), c.level(e.Level), "certificates", all...)
	return nil
}

// Sync has nothing to do.
func (core) Sync() error { return nil }

func attrs(fields []zapcore.Field) []slog.Attr {
	into := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(into)
	}
	var all []slog.Attr
	for _, f := range fields { // in their order
		if value, ok := into.Fields[f.Key]; ok {
			name := f.Key
			if name == "error" {
				name = "err"
			}
			all = append(all, slog.Any(name, value))
		}
	}
	return all
}
