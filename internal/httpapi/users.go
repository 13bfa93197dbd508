package httpapi

import (
	"context"

	"github.com/oapi-codegen/nullable"

	"conduit/api"
	"conduit/internal/identity"
)

// CreateUser implements POST /users.
func (h *handlers) CreateUser(
	ctx context.Context, request api.CreateUserRequestObject,
) (api.CreateUserResponseObject, error) {
	input := request.Body.User
	caller, err := h.Users.Register(ctx, identity.Registration{
		Username: input.Username, Email: input.Email, Password: input.Password,
	}, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	if caller.Anonymous() { // until the email is proven
		return api.CreateUser202Response{}, nil
	}
	return api.CreateUser201JSONResponse{
		Body: userEnvelope(caller), Headers: api.CreateUser201ResponseHeaders{Location: located("/user")},
	}, nil
}

// Login implements POST /users/login.
func (h *handlers) Login(ctx context.Context, request api.LoginRequestObject) (api.LoginResponseObject, error) {
	input := request.Body.User
	caller, err := h.Users.Login(ctx, input.Email, input.Password, input.Code, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.Login200JSONResponse(userEnvelope(caller)), nil
}

// Logout implements POST /users/logout.
func (h *handlers) Logout(ctx context.Context, _ api.LogoutRequestObject) (api.LogoutResponseObject, error) {
	if err := h.Sessions.End(ctx, callerFrom(ctx), clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.Logout204Response{}, nil
}

// GetCurrentUser implements GET /user.
func (h *handlers) GetCurrentUser(
	ctx context.Context, _ api.GetCurrentUserRequestObject,
) (api.GetCurrentUserResponseObject, error) {
	return api.GetCurrentUser200JSONResponse(userEnvelope(callerFrom(ctx))), nil
}

// UpdateCurrentUser implements PUT /user.
func (h *handlers) UpdateCurrentUser(
	ctx context.Context, request api.UpdateCurrentUserRequestObject,
) (api.UpdateCurrentUserResponseObject, error) {
	input := request.Body.User
	caller, err := h.Users.Update(ctx, callerFrom(ctx), identity.UserChanges{
		Username: input.Username, Email: input.Email, Password: input.Password, CurrentPassword: input.CurrentPassword,
		Bio: change(input.Bio), Image: change(input.Image),
	}, clientFrom(ctx))
	if err != nil {
		return nil, err
	}
	return api.UpdateCurrentUser200JSONResponse(userEnvelope(caller)), nil
}

// DeleteCurrentUser implements DELETE /user.
func (h *handlers) DeleteCurrentUser(
	ctx context.Context, request api.DeleteCurrentUserRequestObject,
) (api.DeleteCurrentUserResponseObject, error) {
	if err := h.Users.Delete(ctx, callerFrom(ctx), request.Body.User.Password, clientFrom(ctx)); err != nil {
		return nil, err
	}
	return api.DeleteCurrentUser204Response{}, nil
}

// change keeps absent, null and a value apart.
func change(input nullable.Nullable[string]) identity.Change[*string] {
	if !input.IsSpecified() {
		return identity.Change[*string]{}
	}
	value, err := input.Get()
	if err != nil { // null
		return identity.Change[*string]{Made: true}
	}
	return identity.Change[*string]{Made: true, To: &value}
}
