package events

import (
	"context"
	"time"
)

// Stream is what concerns a user, for one client. One goroutine uses it.
type Stream struct {
	UserID    int64
	SessionID string

	hub      *Hub
	from     Position // from here on the hub hands events to it
	position Position // up to which the client has all
	missed   bool     // whether there is something to read between the two
	wake     chan struct{}

	// What follows is guarded by the hub's mutex.
	expires time.Time // when the token does
	waiting []*Event
	doubt   bool // whether the session goes on
	over    bool // the stream ends
	slow    bool // too much came at once: it is read again from the log
	lost    bool // the log has not what comes behind the position
	closed  bool
}

// concerns reports whether an event is told to the stream. Somebody's own login is not, and the end of the stream's own
// session is told by who ends the stream.
func (s *Stream) concerns(event *Event) bool {
	return event.SessionID == "" || event.SessionID != s.SessionID
}

// take has an event wait for the client. If too many wait, none does: the stream reads them again when its client is
// ready for them.
func (s *Stream) take(event *Event) {
	switch {
	case s.slow || s.closed:
		return
	case len(s.waiting) >= mostWaiting:
		s.slow, s.waiting = true, nil
		s.hub.Slow.Add(1)
	default:
		s.waiting = append(s.waiting, event)
	}
	s.rouse()
}

// rouse has Next look.
func (s *Stream) rouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// News is what Next has found.
type News struct {
	Events []*Event // to be told, if the session goes on

	Doubt bool // whether the session goes on has to be found out, also if nothing is to be told
	Over  bool // the stream ends, and the client should come again
	Lost  bool // something may be missing; the stream goes on from now
}

// Next waits for news, until the context or the pause ends. Without news it returns none. The client has all up to the
// position of the last call.
func (s *Stream) Next(ctx context.Context, pause <-chan time.Time) (News, error) {
	if s.missed {
		found, err := s.hub.Store.MissedEvents(ctx, s.UserID, s.position, s.from, missedBatch)
		if err != nil {
			return News{}, err
		}
		told := make([]*Event, 0, len(found))
		for _, event := range found {
			if s.tells(event) {
				event.text = s.hub.Render(event)
				told = append(told, event)
			}
		}
		if s.missed = len(found) == missedBatch; !s.missed {
			s.advance(s.from)
		} else {
			s.advance(found[len(found)-1].Position)
		}
		news := s.news(false)
		if !news.Lost {
			news.Events = told
		}
		return news, nil
	}
	if news, some := s.look(); some {
		return news, nil
	}
	select {
	case <-s.wake:
		news, _ := s.look()
		return news, nil
	case <-pause:
		news, _ := s.look()
		return news, nil
	case <-ctx.Done():
		return News{}, ctx.Err()
	}
}

// tells reports whether an event is told to this client, who may have been told of one end before.
func (s *Stream) tells(event *Event) bool {
	if event.Gone || !s.concerns(event) {
		return false
	}
	return event.Kind != SessionEnded || event.SessionID != s.position.Told
}

// advance notes that the client has all up to a position.
func (s *Stream) advance(to Position) {
	to.Told = s.position.Told
	s.position = to
}

func (s *Stream) look() (news News, some bool) {
	news = s.news(true)
	return news, len(news.Events) > 0 || news.Doubt || news.Over || news.Lost || s.missed
}

// news takes what the hub has for the stream, its events only if they are wanted now.
func (s *Stream) news(events bool) News {
	s.hub.mutex.Lock()
	defer s.hub.mutex.Unlock()
	lost := s.lost && !s.hub.position.IsZero() // else it is not known yet from where the stream goes on
	news := News{Doubt: s.doubt, Over: s.over, Lost: lost}
	s.doubt, s.lost = false, s.lost && !lost
	switch {
	case s.slow && !lost:
		if events && !s.hub.position.IsZero() {
			s.slow, s.missed, s.from = false, true, s.hub.position
		}
	case lost || events:
		s.slow, s.missed = false, false
		for _, event := range s.waiting {
			if s.tells(event) {
				news.Events = append(news.Events, event)
			}
		}
		s.waiting = nil
		if !s.hub.position.IsZero() {
			s.advance(s.hub.position)
		}
	}
	return news
}

// Position returns the position up to which the client has all, once it has what Next returned.
func (s *Stream) Position() Position { return s.position }

// Behind returns the position behind an event.
func (s *Stream) Behind(event *Event) Position {
	position := event.Position
	position.Told = s.position.Told
	return position
}

// Delivered counts events that the client was sent.
func (s *Stream) Delivered(events int) { s.hub.Delivered.Add(int64(events)) }

// Ending returns how the session has ended; nil if it goes on.
func (s *Stream) Ending(ctx context.Context) (*Ending, error) {
	return s.hub.Store.SessionEnding(ctx, s.UserID, s.SessionID, s.hub.Now())
}

// Close ends the stream.
func (s *Stream) Close() {
	s.hub.mutex.Lock()
	s.closed, s.waiting = true, nil
	delete(s.hub.streams, s)
	if delete(s.hub.users[s.UserID], s); len(s.hub.users[s.UserID]) == 0 {
		delete(s.hub.users, s.UserID)
	}
	s.hub.mutex.Unlock()
	s.hub.leave(s.UserID)
}
