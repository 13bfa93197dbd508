package httpapi

import (
	"context"

	"conduit/api"
	"conduit/internal/identity"
)

// authorityOf returns by which right the caller acts on what is not theirs. Whether they have it, identity decides.
func authorityOf(ctx context.Context) identity.Authority {
	return identity.AsAdmin(callerFrom(ctx), clientFrom(ctx))
}

// GetAccounts implements GET /admin/users.
func (h *handlers) GetAccounts(
	ctx context.Context, request api.GetAccountsRequestObject,
) (api.GetAccountsResponseObject, error) {
	after, err := cursorOf(request.Params.Cursor, readCommentCursor)
	if err != nil {
		return nil, err
	}
	accounts, next, err := h.Accounts.Page(ctx, authorityOf(ctx), orZero(request.Params.Search), orZero(after),
		int(orZero(request.Params.Limit)))
	if err != nil {
		return nil, err
	}
	return api.GetAccounts200JSONResponse(accountList(accounts, next)), nil
}

// GetAccount implements GET /admin/users/{userId}.
func (h *handlers) GetAccount(
	ctx context.Context, request api.GetAccountRequestObject,
) (api.GetAccountResponseObject, error) {
	account, err := h.Accounts.Account(ctx, authorityOf(ctx), request.UserId)
	if err != nil {
		return nil, err
	}
	return api.GetAccount200JSONResponse{User: accountShown(account)}, nil
}

// UpdateAccount implements PUT /admin/users/{userId}.
func (h *handlers) UpdateAccount(
	ctx context.Context, request api.UpdateAccountRequestObject,
) (api.UpdateAccountResponseObject, error) {
	changes := identity.AccountChanges{Disabled: request.Body.User.Disabled}
	if role := request.Body.User.Role; role != nil {
		changes.Role = new(identity.Role(*role))
	}
	account, err := h.Accounts.Update(ctx, authorityOf(ctx), request.UserId, changes)
	if err != nil {
		return nil, err
	}
	return api.UpdateAccount200JSONResponse{User: accountShown(account)}, nil
}

// DeleteAccount implements DELETE /admin/users/{userId}.
func (h *handlers) DeleteAccount(
	ctx context.Context, request api.DeleteAccountRequestObject,
) (api.DeleteAccountResponseObject, error) {
	if err := h.Accounts.Delete(ctx, authorityOf(ctx), request.UserId); err != nil {
		return nil, err
	}
	return api.DeleteAccount204Response{}, nil
}

// GetAccountSessions implements GET /admin/users/{userId}/sessions.
func (h *handlers) GetAccountSessions(
	ctx context.Context, request api.GetAccountSessionsRequestObject,
) (api.GetAccountSessionsResponseObject, error) {
	list, err := h.pageOfSessions(ctx, request.UserId, request.Params.Limit, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	return api.GetAccountSessions200JSONResponse(list), nil
}

// GetAllSessions implements GET /admin/sessions.
func (h *handlers) GetAllSessions(
	ctx context.Context, request api.GetAllSessionsRequestObject,
) (api.GetAllSessionsResponseObject, error) {
	list, err := h.pageOfSessions(ctx, 0, request.Params.Limit, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	return api.GetAllSessions200JSONResponse(list), nil
}

func (h *handlers) pageOfSessions(
	ctx context.Context, userID int64, limit *api.AdminLimit, cursor *api.AdminCursor,
) (api.AccountSessionList, error) {
	after, err := cursorOf(cursor, readSessionCursor)
	if err != nil {
		return api.AccountSessionList{}, err
	}
	filter := identity.SessionFilter{UserID: userID, After: after, Limit: int(orZero(limit))}
	sessions, next, err := h.Accounts.PageOfSessions(ctx, authorityOf(ctx), filter)
	return accountSessionList(sessions, next, callerFrom(ctx)), err
}

// DeleteAccountSessions implements DELETE /admin/users/{userId}/sessions.
func (h *handlers) DeleteAccountSessions(
	ctx context.Context, request api.DeleteAccountSessionsRequestObject,
) (api.DeleteAccountSessionsResponseObject, error) {
	if _, err := h.Accounts.RevokeSessions(ctx, authorityOf(ctx), request.UserId); err != nil {
		return nil, err
	}
	return api.DeleteAccountSessions204Response{}, nil
}

// DeleteAccountSession implements DELETE /admin/sessions/{sessionId}.
func (h *handlers) DeleteAccountSession(
	ctx context.Context, request api.DeleteAccountSessionRequestObject,
) (api.DeleteAccountSessionResponseObject, error) {
	if err := h.Accounts.RevokeSession(ctx, authorityOf(ctx), request.SessionId); err != nil {
		return nil, err
	}
	return api.DeleteAccountSession204Response{}, nil
}

// GetAuditEvents implements GET /admin/audit.
func (h *handlers) GetAuditEvents(
	ctx context.Context, request api.GetAuditEventsRequestObject,
) (api.GetAuditEventsResponseObject, error) {
	filter, err := eventFilter(request.Params)
	if err != nil {
		return nil, err
	}
	events, next, err := h.Accounts.PageOfEvents(ctx, authorityOf(ctx), filter)
	if err != nil {
		return nil, err
	}
	return api.GetAuditEvents200JSONResponse(eventList(events, next)), nil
}

// GetSigningKeys implements GET /admin/keys.
func (h *handlers) GetSigningKeys(
	ctx context.Context, _ api.GetSigningKeysRequestObject,
) (api.GetSigningKeysResponseObject, error) {
	keys, err := h.SigningKeys.List(ctx, authorityOf(ctx))
	if err != nil {
		return nil, err
	}
	return api.GetSigningKeys200JSONResponse(keyList(keys)), nil
}

// RotateSigningKeys implements POST /admin/keys.
func (h *handlers) RotateSigningKeys(
	ctx context.Context, request api.RotateSigningKeysRequestObject,
) (api.RotateSigningKeysResponseObject, error) {
	key, _, err := h.SigningKeys.Rotate(ctx, authorityOf(ctx), request.Body.Key.AtOnce)
	if err != nil {
		return nil, err
	}
	return api.RotateSigningKeys200JSONResponse{Key: keyShown(key)}, nil
}

// RevokeSigningKey implements DELETE /admin/keys/{keyId}.
func (h *handlers) RevokeSigningKey(
	ctx context.Context, request api.RevokeSigningKeyRequestObject,
) (api.RevokeSigningKeyResponseObject, error) {
	if _, err := h.SigningKeys.Revoke(ctx, authorityOf(ctx), request.KeyId); err != nil {
		return nil, err
	}
	return api.RevokeSigningKey204Response{}, nil
}

// mostMailsShown is how many messages a list has at most.
const mostMailsShown = 100

// GetMails implements GET /admin/mails.
func (h *handlers) GetMails(
	ctx context.Context, request api.GetMailsRequestObject,
) (api.GetMailsResponseObject, error) {
	unsent := request.Params.Unsent != nil && *request.Params.Unsent
	mails, err := h.Mails.List(ctx, authorityOf(ctx), unsent, mostMailsShown)
	if err != nil {
		return nil, err
	}
	list := api.MailList{Mails: make([]api.Mail, len(mails))}
	for i, mail := range mails {
		list.Mails[i] = mailShown(mail, h.Now())
	}
	return api.GetMails200JSONResponse(list), nil
}

// RetryMail implements POST /admin/mails/{mailId}/retry.
func (h *handlers) RetryMail(
	ctx context.Context, request api.RetryMailRequestObject,
) (api.RetryMailResponseObject, error) {
	if err := h.Mails.Retry(ctx, authorityOf(ctx), request.MailId); err != nil {
		return nil, err
	}
	return api.RetryMail204Response{}, nil
}
