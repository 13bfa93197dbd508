package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/oapi-codegen/nullable"

	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/errs"
	"conduit/internal/identity"
)

// userEnvelope shows callers themselves, with their token.
func userEnvelope(caller identity.Caller) api.UserEnvelope {
	return api.UserEnvelope{User: api.User{
		Username: caller.User.Username, Email: caller.User.Email, Token: caller.Token, Bio: orNull(caller.User.Bio),
		Image: orNull(caller.User.Image),
	}}
}

// null is shared by all answers, which nobody changes.
var null = nullable.NewNullNullable[string]()

// orNull shows a text that may be unset. A Nullable that is left alone would marshal as the empty string.
func orNull(text *string) nullable.Nullable[string] {
	if text == nil {
		return null
	}
	return nullable.NewNullableWithValue(*text)
}

func profileShown(profile blog.Profile) api.Profile {
	return api.Profile{
		Username: profile.Username, Bio: orNull(profile.Bio), Image: orNull(profile.Image),
		Following: profile.Following,
	}
}

// profileSummary shows a person beside what they wrote.
func profileSummary(profile blog.Profile) api.ProfileSummary {
	return api.ProfileSummary(profileShown(profile))
}

func profileEnvelope(profile blog.Profile) api.ProfileEnvelope {
	return api.ProfileEnvelope{Profile: profileShown(profile)}
}

func articleEnvelope(article blog.ArticleView) api.ArticleEnvelope {
	return api.ArticleEnvelope{Article: api.Article{
		Slug: article.Slug, Title: article.Title, Description: article.Description, Body: article.Body,
		TagList: orEmpty(article.TagList), CreatedAt: api.Timestamp(article.CreatedAt),
		UpdatedAt: api.Timestamp(article.UpdatedAt), Favorited: article.Favorited,
		FavoritesCount: article.FavoritesCount, Author: profileShown(article.Author),
	}}
}

func articleList(page blog.ArticlePage) api.ArticleList {
	list := api.ArticleList{
		Articles: make([]api.ArticleSummary, len(page.Articles)), ArticlesCount: page.Total, NextCursor: orNull(nil),
	}
	for i, article := range page.Articles {
		list.Articles[i] = api.ArticleSummary{
			Slug: article.Slug, Title: article.Title, Description: article.Description,
			TagList: orEmpty(article.TagList), CreatedAt: api.Timestamp(article.CreatedAt),
			UpdatedAt: api.Timestamp(article.UpdatedAt), Favorited: article.Favorited,
			FavoritesCount: article.FavoritesCount, Author: profileSummary(article.Author),
		}
	}
	if page.Next != nil {
		cursor := writeCursor(*page.Next)
		list.NextCursor = orNull(&cursor)
	}
	return list
}

func commentOf(comment blog.CommentView) api.Comment {
	return api.Comment{
		Id: comment.ID, Body: comment.Body, CreatedAt: api.Timestamp(comment.CreatedAt),
		UpdatedAt: api.Timestamp(comment.UpdatedAt), Author: profileSummary(comment.Author),
	}
}

func commentList(page blog.CommentPage) api.CommentList {
	list := api.CommentList{Comments: make([]api.Comment, len(page.Comments)), NextCursor: orNull(nil)}
	for i, comment := range page.Comments {
		list.Comments[i] = commentOf(comment)
	}
	if page.Next != 0 {
		cursor := writeCommentCursor(page.Next)
		list.NextCursor = orNull(&cursor)
	}
	return list
}

// orEmpty shows a list that may be nil, which would marshal as null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func sessionOf(session identity.Session, caller identity.Caller) api.Session {
	return api.Session{
		Id: session.ID, CreatedAt: api.Timestamp(session.CreatedAt), LastSeenAt: api.Timestamp(session.LastSeenAt),
		ExpiresAt: api.Timestamp(session.ExpiresAt), IpAddress: session.IPAddress, UserAgent: session.UserAgent,
		Current: session.ID == caller.Session.ID, Amr: orEmpty(session.Methods), Acr: session.Class(),
		ProvedAt: api.Timestamp(session.ProvedAt),
	}
}

func noticeOf(event identity.Event) api.Notice {
	return api.Notice{
		Event: string(event.Action), At: api.Timestamp(event.At), IpAddress: event.IPAddress,
		UserAgent: event.UserAgent,
	}
}

func tokensEnvelope(grant identity.Grant) api.SessionTokensEnvelope {
	return api.SessionTokensEnvelope{Session: api.SessionTokens{
		Id: grant.Session.ID, AccessToken: grant.AccessToken,
		AccessTokenExpiresAt: api.Timestamp(grant.AccessExpiresAt), RefreshToken: grant.RefreshToken,
		RefreshTokenExpiresAt: api.Timestamp(grant.Session.ExpiresAt),
	}}
}

// pageOf returns the parameters of a list as a page; absent ones are zero.
func pageOf(limit *api.Limit, offset *api.Offset, cursor *api.Cursor) (blog.Page, error) {
	page := blog.Page{Limit: int(orZero(limit)), Offset: int(orZero(offset))}
	if cursor == nil {
		return page, nil
	}
	position, ok := readCursor(*cursor)
	if !ok {
		return blog.Page{}, errs.Invalid("cursor", "is not valid")
	}
	page.After = &position
	return page, nil
}

// commentFilter returns the parameters of a list of comments as a filter.
func commentFilter(limit *int32, cursor *string) (blog.CommentFilter, error) {
	filter := blog.CommentFilter{Limit: int(orZero(limit))}
	if cursor == nil {
		return filter, nil
	}
	id, ok := readCommentCursor(*cursor)
	if !ok {
		return blog.CommentFilter{}, errs.Invalid("cursor", "is not valid")
	}
	filter.After = id
	return filter, nil
}

// orZero returns the value of a parameter, or zero if it is absent.
func orZero[T any](parameter *T) T {
	if parameter == nil {
		return *new(T)
	}
	return *parameter
}

// A cursor is a position as 16 bytes, milliseconds and id, in base64url: short, and nothing that clients would be
// tempted to take apart. That of comments is an id alone.

func writeCursor(position blog.Position) string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(position.CreatedAt.UnixMilli()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(position.ID))
	return base64.RawURLEncoding.EncodeToString(raw)
}

func readCursor(cursor string) (position blog.Position, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 16 {
		return position, false
	}
	position.CreatedAt = time.UnixMilli(int64(binary.BigEndian.Uint64(raw))).UTC()
	position.ID = int64(binary.BigEndian.Uint64(raw[8:]))
	// Every cursor that we issued has a year of four digits. A database might refuse others.
	year := position.CreatedAt.Year()
	return position, position.ID > 0 && year >= 1970 && year <= 9999
}

func writeCommentCursor(id int64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(id)))
}

func readCommentCursor(cursor string) (id int64, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) != 8 {
		return 0, false
	}
	id = int64(binary.BigEndian.Uint64(raw))
	return id, id > 0
}

func introspectionOf(found identity.Introspection) api.Introspection {
	kind := api.Bearer
	if found.Kind == identity.RefreshToken {
		kind = api.RefreshToken
	}
	return api.Introspection{
		Active: true, TokenType: kind, Sub: strconv.FormatInt(found.User.ID, 10),
		Iss: found.Issuer, Aud: found.Audience,
		Exp: found.ExpiresAt.Unix(), Iat: found.IssuedAt.Unix(), Nbf: found.NotBefore.Unix(), Jti: found.ID,
		Sid: found.Session.ID, Username: found.User.Username, Amr: found.Session.Methods, Acr: found.Session.Class(),
		AuthTime: found.Session.ProvedAt.Unix(),
	}
}

// orNever shows a time, or null for nil.
func orNever(at *time.Time) nullable.Nullable[api.Timestamp] {
	if at == nil {
		return nullable.NewNullNullable[api.Timestamp]()
	}
	return nullable.NewNullableWithValue(api.Timestamp(*at))
}
