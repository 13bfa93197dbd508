package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"conduit/api"
	"conduit/internal/errs"
	"conduit/internal/events"
)

const (
	eventStreamMedia = "text/event-stream"
	// heartbeat is the pause between two signs of life, unless [Config] says otherwise.
	heartbeat = 15 * time.Second
	// A client that lost its stream comes again after a while, which is not the same for all: those of an instance
	// that stops do not all come at once.
	leastRetry = time.Second
	mostRetry  = 3 * time.Second
)

// StreamUserEvents implements GET /user/events.
func (h *handlers) StreamUserEvents(
	ctx context.Context, request api.StreamUserEventsRequestObject,
) (api.StreamUserEventsResponseObject, error) {
	if requestFrom(ctx).head {
		return eventHeaders{}, nil
	}
	caller := callerFrom(ctx)
	expires, err := h.Users.Expires(ctx, caller.Token)
	if err != nil {
		return nil, err
	}
	stream, unknown, err := h.Events.Open(ctx, caller.User.ID, caller.Session.ID, expires, request.Params.LastEventID)
	if err != nil {
		return nil, err
	}
	return &eventStream{
		ctx: ctx, config: h.Config, stream: stream, token: caller.Token, reset: unknown,
		sent: stream.Position(), pace: cmp.Or(h.PieceTime, pieceTime),
	}, nil
}

// eventHeaders answers HEAD, which begins no stream.
type eventHeaders struct{}

func (eventHeaders) VisitStreamUserEventsResponse(w http.ResponseWriter) error {
	setEventHeaders(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

func setEventHeaders(w http.ResponseWriter) {
	w.Header().Set("Content-Type", eventStreamMedia)
	w.Header().Set("X-Accel-Buffering", "no")            // nginx passes on what it gets
	w.Header().Set(gzhttp.HeaderNoCompression, "stream") // and so does the layer that compresses
}

// eventStream writes events as they come, until the client hangs up or the stream ends.
type eventStream struct {
	ctx    context.Context //nolint:containedctx // of the request: the generated interface has no other way for it
	config Config
	stream *events.Stream
	token  string
	reset  bool            // the client has to be told that something may be missing
	sent   events.Position // the client has all up to here, and knows it
	pace   time.Duration   // for a piece

	to    http.ResponseWriter
	limit *http.ResponseController // of the outermost layer
	text  []byte
}

// VisitStreamUserEventsResponse writes the answer. Whatever ends it, the client goes on from the last id that it has.
func (e *eventStream) VisitStreamUserEventsResponse(w http.ResponseWriter) error {
	defer e.stream.Close()
	request := requestFrom(e.ctx)
	e.to, e.limit = w, http.NewResponseController(&request.answer)
	// The server's own limits are for answers that end.
	if err := e.limit.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	setEventHeaders(w)
	request.flows(e.config)
	retry := cmp.Or(e.config.EventRetry, leastRetry+rand.N(mostRetry-leastRetry))
	e.text = append(strconv.AppendInt(append(e.text, "retry: "...), retry.Milliseconds(), 10), '\n')
	e.mark(e.stream.Position())
	e.text = append(e.text, '\n')
	if e.reset {
		e.add("reset", api.ResetEvent{Type: api.Reset})
	}
	for err := e.flush(); err == nil; {
		err = e.turn()
	}
	return nil // what was to be said was said in the stream
}

// turn tells what is new, or gives a sign of life. The error says that the stream has ended.
func (e *eventStream) turn() error {
	pause := time.NewTimer(cmp.Or(e.config.Heartbeat, heartbeat))
	defer pause.Stop()
	news, err := e.stream.Next(e.ctx, pause.C)
	if err != nil {
		return err
	}
	if err := e.prove(); err != nil {
		return err
	}
	if news.Lost {
		e.mark(e.stream.Position())
		e.add("reset", api.ResetEvent{Type: api.Reset})
	}
	for _, event := range news.Events {
		e.mark(e.stream.Behind(event))
		e.text = append(e.text, event.Text()...)
	}
	if news.Over {
		return e.reconnect()
	}
	if len(news.Events) == 0 && !news.Lost {
		if position := e.stream.Position(); position != e.sent { // what came in between concerned others
			e.mark(position)
		}
		e.text = append(e.text, ": \n\n"...)
	}
	e.stream.Delivered(len(news.Events))
	return e.flush()
}

// errEnded says that the stream has ended as it should.
var errEnded = errors.New("the stream has ended")

// prove finds out whether the session still counts. While it is remembered that takes no query. Nothing is told after
// the end of the session was answered, at whichever instance, since the same holds for requests.
func (e *eventStream) prove() error {
	_, err := e.config.Users.Authenticate(e.ctx, e.token)
	if err == nil {
		return nil
	}
	if !errs.Is(err, errs.KindUnauthenticated) {
		return e.reconnect() // it cannot be found out now
	}
	ending, err := e.stream.Ending(e.ctx)
	if err != nil || ending == nil { // the token does not count, and the session goes on
		return e.reconnect()
	}
	told := e.sent
	told.Told = e.stream.SessionID
	if !told.IsZero() {
		e.mark(told)
	}
	e.add("session-ended", api.SessionEndedEvent{
		Type: api.SessionEnded, At: api.Timestamp(ending.At.UTC().Truncate(time.Millisecond)),
		Session: api.EndedSession{Id: e.stream.SessionID, Reason: ending.Reason},
	})
	return cmp.Or(e.flush(), errEnded)
}

// reconnect ends the stream and has the client come again.
func (e *eventStream) reconnect() error {
	e.add("reconnect", api.ReconnectEvent{Type: api.Reconnect})
	return cmp.Or(e.flush(), errEnded)
}

// mark adds the line that says up to where the client has all.
func (e *eventStream) mark(position events.Position) {
	if position.IsZero() {
		return
	}
	e.sent = position
	e.text = append(append(append(e.text, "id: "...), position.String()...), '\n')
}

func (e *eventStream) add(kind string, event any) { e.text = append(e.text, eventText(kind, event)...) }

// flush sends what was added.
func (e *eventStream) flush() error {
	if err := e.limit.SetWriteDeadline(time.Now().Add(e.pace)); err != nil {
		return err
	}
	_, err := e.to.Write(e.text)
	if e.text = e.text[:0]; cap(e.text) > mostKept {
		e.text = nil
	}
	if err == nil {
		err = http.NewResponseController(e.to).Flush() // as far as the layer that compresses
	}
	if err != nil { // also where nobody is to hear of the answer: then not even its headers are sent
		return err
	}
	return e.limit.Flush()
}

// mostKept is how much room for text a stream keeps, in bytes.
const mostKept = 2 << 10

// RenderEvent returns an event as it is told, for [events.Hub].
func RenderEvent(event *events.Event) []byte {
	when := api.Timestamp(event.HappenedAt)
	article := api.EventArticle{
		Slug: event.Slug, Title: event.Title, Author: api.EventAuthor{Username: event.Author},
	}
	var shown any
	switch event.Kind {
	case events.SessionEnded:
		shown = api.SessionEndedEvent{
			Type: api.SessionEnded, At: when, Session: api.EndedSession{Id: event.SessionID, Reason: event.Reason},
		}
	case events.Login:
		shown = api.LoginEvent{Type: api.Login, At: when, Session: api.StartedSession{
			Id: event.SessionID, IpAddress: event.IPAddress, UserAgent: event.UserAgent,
		}}
	case events.Article:
		shown = api.ArticleEvent{Type: api.ArticleEventTypeArticle, At: when, Article: article}
	case events.Comment:
		shown = api.CommentEvent{
			Type: api.CommentEventTypeComment, At: when, Article: article,
			Comment: api.EventComment{Id: event.CommentID, Author: api.EventAuthor{Username: event.Commenter}},
		}
	}
	return eventText(string(event.Kind), shown)
}

// eventText returns the lines of an event but for its id.
func eventText(kind string, event any) []byte {
	data, err := json.Marshal(event)
	if err != nil {
		panic(err) // types of ours marshal
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", kind, data)
}
