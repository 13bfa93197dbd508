package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/oapi-codegen/nullable"

	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

func accountShown(account identity.Account) api.Account {
	return api.Account{
		Id: account.ID, Username: account.Username, Email: account.Email, Role: string(account.Role),
		CreatedAt: api.Timestamp(account.CreatedAt), UpdatedAt: api.Timestamp(account.UpdatedAt),
		DisabledAt: orNever(account.DisabledAt), ArticlesCount: account.Articles,
	}
}

func accountList(accounts []identity.Account, next int64) api.AccountList {
	list := api.AccountList{Users: make([]api.Account, len(accounts)), NextCursor: orNull(nil)}
	for i, account := range accounts {
		list.Users[i] = accountShown(account)
	}
	if next != 0 {
		list.NextCursor.Set(writeCommentCursor(next))
	}
	return list
}

func accountSessionList(
	sessions []identity.AccountSession, next *identity.SessionPosition, caller identity.Caller,
) api.AccountSessionList {
	list := api.AccountSessionList{
		Sessions: make([]api.AccountSession, len(sessions)), NextCursor: orNull(nil),
	}
	for i, session := range sessions {
		list.Sessions[i] = api.AccountSession{
			Id: session.ID, UserId: session.UserID, Username: session.Username,
			CreatedAt: api.Timestamp(session.CreatedAt), LastSeenAt: api.Timestamp(session.LastSeenAt),
			ExpiresAt: api.Timestamp(session.ExpiresAt), IpAddress: session.IPAddress, UserAgent: session.UserAgent,
			Current: session.ID == caller.Session.ID,
		}
	}
	if next != nil {
		list.NextCursor.Set(writeSessionCursor(*next))
	}
	return list
}

func eventList(events []identity.Event, next *identity.EventPosition) api.AuditEventList {
	list := api.AuditEventList{Events: make([]api.AuditEvent, len(events)), NextCursor: orNull(nil)}
	for i, event := range events {
		list.Events[i] = api.AuditEvent{
			Id: event.ID, At: api.Timestamp(event.At), Actor: string(event.Actor),
			ActorId: nullable.NewNullNullable[int64](), ActorName: event.ActorName, Action: string(event.Action),
			Target: event.Target, IpAddress: event.IPAddress, UserAgent: event.UserAgent, RequestId: event.RequestID,
			ClientRequestId: event.ClientRequestID, Count: event.Count,
		}
		if event.ActorID != nil {
			list.Events[i].ActorId.Set(*event.ActorID)
		}
	}
	if next != nil {
		list.NextCursor.Set(writeCursor(blog.Position{CreatedAt: next.At, ID: next.ID}))
	}
	return list
}

// mostKeysShown is how many signing keys an answer has at most.
const mostKeysShown = 100

func keyList(keys []identity.Key) api.SigningKeyList {
	keys = keys[max(0, len(keys)-mostKeysShown):]
	list := api.SigningKeyList{Keys: make([]api.SigningKey, len(keys))}
	for i, key := range keys {
		list.Keys[i] = keyShown(key)
	}
	return list
}

func keyShown(key identity.Key) api.SigningKey {
	shown := api.SigningKey{
		Kid: key.ID, Algorithm: key.Algorithm, State: api.SigningKeyState(key.State),
		CreatedAt: api.Timestamp(key.CreatedAt), ActiveAt: api.Timestamp(key.ActiveAt),
		EndsAt: nullable.NewNullNullable[api.Timestamp](),
	}
	if !key.EndsAt.IsZero() {
		shown.EndsAt.Set(api.Timestamp(key.EndsAt))
	}
	return shown
}

// eventFilter returns the parameters of a list of events as a filter.
func eventFilter(params api.GetAuditEventsParams) (filter identity.EventFilter, err error) {
	after, err := cursorOf(params.Cursor, readCursor)
	if err != nil {
		return filter, err
	}
	filter = identity.EventFilter{
		UserID: orZero(params.UserId), ActorID: orZero(params.ActorId), Actor: identity.Actor(orZero(params.Actor)),
		Action: identity.Action(orZero(params.Action)), Limit: int(orZero(params.Limit)),
	}
	if after != nil {
		filter.After = &identity.EventPosition{At: after.CreatedAt, ID: after.ID}
	}
	problems := errs.Fields{}
	filter.Since = momentOf(problems, "since", params.Since)
	filter.Before = momentOf(problems, "before", params.Before)
	return filter, problems.Err()
}

// momentOf reads a parameter that has the form of a moment; the zero time if it is absent.
func momentOf(problems errs.Fields, name string, text *string) time.Time {
	if text == nil {
		return time.Time{}
	}
	moment, err := time.Parse(time.RFC3339, *text)
	if err != nil { // the 31st of February
		problems.Add(name, "is not valid")
	}
	return moment.UTC()
}

// cursorOf reads a cursor; nil if it is absent.
func cursorOf[T any](cursor *string, read func(string) (T, bool)) (*T, error) {
	if cursor == nil {
		return nil, nil
	}
	position, ok := read(*cursor)
	if !ok {
		return nil, errs.Invalid("cursor", "is not valid")
	}
	return &position, nil
}

// The cursor of sessions is that of a user's id and a moment, with the session's id behind it.

func writeSessionCursor(position identity.SessionPosition) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(position.CreatedAt.UnixMilli()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(position.UserID))
	return base64.RawURLEncoding.EncodeToString(append(raw, position.ID...))
}

func readSessionCursor(cursor string) (position identity.SessionPosition, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < 16 {
		return position, false
	}
	place, ok := readCursor(base64.RawURLEncoding.EncodeToString(raw[:16]))
	id := string(raw[16:])
	printable := !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
	return identity.SessionPosition{UserID: place.ID, CreatedAt: place.CreatedAt, ID: id}, ok && printable
}

func mailShown(mail identity.Mail, now time.Time) api.Mail {
	shown := api.Mail{
		Id: mail.ID, Kind: string(mail.Kind), Language: mail.Language, State: string(mail.State(now)),
		Tries: int32(mail.Tries), Problem: mail.Problem, //nolint:gosec // it is given up after a few
		CreatedAt: api.Timestamp(mail.CreatedAt), SentAt: orNever(mail.SentAt),
		UserId: nullable.NewNullNullable[int64](),
	}
	if mail.UserID != nil {
		shown.UserId.Set(*mail.UserID)
	}
	return shown
}
