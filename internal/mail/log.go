package mail

import (
	"context"
	"log/slog"

	"conduit/internal/identity"
)

// logPost prints letters to the log, for those who try the program out.
type logPost struct {
	*Templates
	log *slog.Logger
}

// Connect implements [identity.Postman].
func (l logPost) Connect(context.Context) (identity.Delivery, error) { return l, nil }

// Deliver implements [identity.Delivery].
func (l logPost) Deliver(ctx context.Context, letter identity.Letter) error {
	written, err := l.write(letter)
	if err != nil {
		return &identity.Undelivered{Problem: "its template is broken", Final: true, Cause: err}
	}
	attributes := []slog.Attr{slog.String("to", letter.To), slog.String("subject", written.subject)}
	if letter.Link != "" {
		attributes = append(attributes, slog.String("link", letter.Link))
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "mail that is not sent: there is no mail server", attributes...)
	return nil
}

// Close implements [identity.Delivery].
func (logPost) Close() {}
