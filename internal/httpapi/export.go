package httpapi

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/identity"
)

// ExportCurrentUser implements GET /user/export. The answer is not held in memory: it goes out while it is read.
func (h *handlers) ExportCurrentUser(
	ctx context.Context, _ api.ExportCurrentUserRequestObject,
) (api.ExportCurrentUserResponseObject, error) {
	if requestFrom(ctx).head {
		return exportHeaders{}, nil
	}
	export, err := h.Exports.Begin(ctx, callerFrom(ctx), clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	requestFrom(ctx).streams = true
	return exportStream{ctx, export, h.Log, cmp.Or(h.PieceTime, pieceTime)}, nil
}

// exportHeaders answers HEAD, which begins no export.
type exportHeaders struct{}

func (exportHeaders) VisitExportCurrentUserResponse(w http.ResponseWriter) error {
	setExportHeaders(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

func setExportHeaders(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="conduit-export.json"`)
}

// exportStream writes an export as it is read.
type exportStream struct {
	ctx    context.Context //nolint:containedctx // of the request: the generated interface has no other way for it
	export *identity.Export
	log    *slog.Logger
	pace   time.Duration // for a piece
}

// VisitExportCurrentUserResponse writes the answer. An error before anything was sent is answered as any other. After
// that the connection breaks off, which clients notice in every version of HTTP; what they have is no complete JSON.
func (e exportStream) VisitExportCurrentUserResponse(w http.ResponseWriter) error {
	defer e.export.End(e.ctx)
	request := requestFrom(e.ctx)
	pieces := &pieces{to: w, control: http.NewResponseController(&request.answer), pace: e.pace}
	// The server's own limits are for answers that are made before they are sent.
	if err := pieces.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	out := bufio.NewWriterSize(pieces, pieceSize)
	err := e.write(out)
	if err == nil {
		err = out.Flush()
	}
	if err != nil && pieces.sent {
		if request.answer.failed == nil { // else the client has gone, or does not read
			e.log.LogAttrs(e.ctx, slog.LevelError, "an export broke off", slog.String("error", err.Error()),
				request.named())
		}
		panic(http.ErrAbortHandler)
	}
	return err
}

func (e exportStream) write(out *bufio.Writer) error {
	account, err := json.Marshal(exportedAccount(e.export))
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, `{"export":{"account":%s`, account) // as with all that follows, Flush has the error
	for {
		page, err := e.export.Next(e.ctx)
		switch {
		case err != nil:
			return err
		case page == nil:
			_, err := out.WriteString("}}\n")
			return err
		}
		if page.First {
			_, _ = fmt.Fprintf(out, `,%q:[`, page.Section)
		}
		for i, row := range page.Rows {
			if !page.First || i > 0 {
				_ = out.WriteByte(',')
			}
			text, err := json.Marshal(exportedRow(row, e.export))
			if err != nil {
				return err
			}
			if _, err := out.Write(text); err != nil { // whoever has gone is read nothing more for
				return err
			}
		}
		if page.Last {
			_ = out.WriteByte(']')
		}
	}
}

// An answer that is streamed goes out in pieces, each of which a client has to take in a while.
const (
	pieceSize = 64 << 10
	pieceTime = 20 * time.Second // unless Config says otherwise
)

type pieces struct {
	to      http.ResponseWriter
	control *http.ResponseController
	pace    time.Duration
	sent    bool
}

// Write implements [io.Writer].
func (p *pieces) Write(text []byte) (written int, err error) {
	if !p.sent {
		p.sent = true
		setExportHeaders(p.to)
	}
	for len(text) > 0 && err == nil {
		piece := text[:min(len(text), pieceSize)]
		if err := p.control.SetWriteDeadline(time.Now().Add(p.pace)); err != nil {
			return written, err
		}
		var n int
		n, err = p.to.Write(piece)
		written, text = written+n, text[n:]
	}
	return written, err
}

func exportedAccount(export *identity.Export) api.ExportedAccount {
	account := export.Account
	return api.ExportedAccount{
		Id: account.ID, Username: account.Username, Email: account.Email, Role: string(account.Role),
		Bio: orNull(account.Bio), Image: orNull(account.Image), CreatedAt: api.Timestamp(account.CreatedAt),
		UpdatedAt: api.Timestamp(account.UpdatedAt), FollowersCount: export.Followers,
		EmailProvedAt: orNever(account.EmailProvedAt), SecondFactorSince: orNever(account.SecondFactorAt),
	}
}

// exportedRow shows a row of any section.
func exportedRow(row any, export *identity.Export) any {
	switch row := row.(type) {
	case identity.FormerName:
		return api.ExportedName{Username: row.Username, Until: api.Timestamp(row.Until)}
	case identity.Session:
		return sessionOf(row, export.Caller)
	case identity.Passkey:
		return passkeyShown(row)
	case blog.OwnFollow:
		return api.ExportedFollow{Username: row.Username}
	case blog.OwnFavorite:
		return api.ExportedFavorite{Slug: row.Slug}
	case blog.OwnArticle:
		return api.ExportedArticle{
			Slug: row.Slug, Title: row.Title, Description: row.Description, Body: row.Body,
			TagList: orEmpty(row.TagList), FavoritesCount: row.FavoritesCount,
			CreatedAt: api.Timestamp(row.CreatedAt), UpdatedAt: api.Timestamp(row.UpdatedAt),
		}
	case blog.OwnSlug:
		return api.ExportedSlug{Slug: row.Former, Article: row.Slug}
	case blog.OwnComment:
		return api.ExportedComment{
			Id: row.ID, Article: row.Slug, Body: row.Body, CreatedAt: api.Timestamp(row.CreatedAt),
		}
	case identity.Event:
		return api.ExportedEvent{
			At: api.Timestamp(row.At), Actor: string(row.Actor), Action: string(row.Action), Target: row.Target,
			IpAddress: row.IPAddress, UserAgent: row.UserAgent, Count: row.Count,
		}
	}
	panic(fmt.Sprintf("httpapi: an export has a row of a type that it cannot show: %T", row))
}
