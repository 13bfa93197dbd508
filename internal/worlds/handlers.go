package worlds

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	openapi "conduit"
	"conduit/api"
	wire "conduit/api/worlds"
	"conduit/internal/contract"
	"conduit/internal/errs"
)

// handlers answer the contract of worlds.
type handlers struct{ *Worlds }

var _ wire.StrictServerInterface = handlers{}

// operations returns the router of the contract.
func (ws *Worlds) operations(host contract.Host) (http.Handler, error) {
	document, err := contract.Load(openapi.Worlds)
	if err != nil {
		return nil, err
	}
	held := contract.Config{
		Document: document, Version: ws.config.Version, Host: host,
		OnViolation: ws.config.OnViolation, OnAnswer: ws.config.OnAnswer,
	}
	if ws.config.CheckResponses {
		strict, err := contract.Load(openapi.Worlds)
		if err != nil {
			return nil, err
		}
		held.Strict = contract.Strict(strict)
	}
	operations := contract.NewMux(held)
	strict := wire.NewStrictHandlerWithOptions(handlers{ws}, nil, wire.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: host.Fail, ResponseErrorHandlerFunc: host.Fail,
	})
	wire.HandlerWithOptions(strict, wire.StdHTTPServerOptions{BaseRouter: operations, ErrorHandlerFunc: host.Fail})
	if missing := operations.Unmounted(); len(missing) > 0 {
		return nil, fmt.Errorf("contract/worlds.yaml has operations without a handler, run make generate: %s",
			strings.Join(missing, ", "))
	}
	return operations, nil
}

type reachedKey struct{}

// reached returns the request's context, with the URL at which the server was reached.
func (ws *Worlds) reached(r *http.Request) context.Context {
	at := ws.config.PublicURL
	if at == "" {
		at = "http://" + r.Host
	}
	return context.WithValue(r.Context(), reachedKey{}, at)
}

func stamp(moment time.Time) api.Timestamp {
	return api.Timestamp(moment.UTC().Truncate(time.Millisecond))
}

// moment reads a moment of a clock.
func moment(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case err != nil:
		return at, errs.Invalid("at", "is not valid")
	case !inRange(at):
		return at, errs.Invalid("at", "is out of range")
	}
	return at, nil
}

// GetWorlds implements GET /worlds.
func (h handlers) GetWorlds(context.Context, wire.GetWorldsRequestObject) (wire.GetWorldsResponseObject, error) {
	list, err := h.all()
	if err != nil {
		return nil, err
	}
	shown := wire.GetWorlds200JSONResponse{Worlds: []wire.World{}}
	for _, w := range list {
		if l, err := w.current(); err == nil { // else it has just ended
			shown.Worlds = append(shown.Worlds, w.shown(l, &h.config))
		}
	}
	return shown, nil
}

// CreateWorld implements POST /worlds.
func (h handlers) CreateWorld(
	ctx context.Context, request wire.CreateWorldRequestObject,
) (wire.CreateWorldResponseObject, error) {
	wanted := request.Body.World
	id := newID()
	spec := Spec{
		ID: id, URL: ctx.Value(reachedKey{}).(string) + path + "/" + id,
		Seed: uint64(max(wanted.Seed, 1)), At: h.config.Now(), Demo: wanted.Demo, //nolint:gosec // it is positive
	}
	if wanted.At != "" {
		var err error
		if spec.At, err = moment(wanted.At); err != nil {
			return nil, err
		}
	}
	spec.At = spec.At.UTC().Truncate(time.Millisecond)
	made, l, err := h.make(ctx, spec, wanted.Frozen == nil || *wanted.Frozen)
	if err != nil {
		return nil, err
	}
	return wire.CreateWorld201JSONResponse{
		Body:    wire.WorldEnvelope{World: made.shown(l, &h.config)},
		Headers: wire.CreateWorld201ResponseHeaders{Location: path + "/" + id},
	}, nil
}

// GetWorld implements GET /worlds/{worldId}.
func (h handlers) GetWorld(
	_ context.Context, request wire.GetWorldRequestObject,
) (wire.GetWorldResponseObject, error) {
	w, l, err := h.named(request.WorldId)
	if err != nil {
		return nil, err
	}
	return wire.GetWorld200JSONResponse{World: w.shown(l, &h.config)}, nil
}

func (h handlers) named(id string) (*world, *life, error) {
	w, err := h.find(id)
	if err != nil {
		return nil, nil, err
	}
	l, err := w.current()
	return w, l, err
}

// DeleteWorld implements DELETE /worlds/{worldId}.
func (h handlers) DeleteWorld(
	_ context.Context, request wire.DeleteWorldRequestObject,
) (wire.DeleteWorldResponseObject, error) {
	w, err := h.find(request.WorldId)
	if err == nil {
		err = h.remove(w)
	}
	return wire.DeleteWorld204Response{}, err
}

// SetWorldClock implements PUT /worlds/{worldId}/clock.
func (h handlers) SetWorldClock(
	ctx context.Context, request wire.SetWorldClockRequestObject,
) (wire.SetWorldClockResponseObject, error) {
	w, err := h.find(request.WorldId)
	if err != nil {
		return nil, err
	}
	w.changing.Lock()
	defer w.changing.Unlock()
	l, err := w.current()
	if err != nil {
		return nil, err
	}
	at, frozen, err := moved(l.clock, request.Body.Clock)
	if err != nil {
		return nil, err
	}
	// What has begun is done as a whole, whether or not the client waits for it.
	if err := l.Move(context.WithoutCancel(ctx), func() { l.clock.set(at, frozen) }); err != nil {
		return nil, err
	}
	w.use(h.config.Now())
	return wire.SetWorldClock200JSONResponse{World: w.shown(l, &h.config)}, nil
}

// moved returns where a clock is to be.
func moved(c *clock, wanted wire.WorldClock) (at time.Time, frozen bool, err error) {
	at, frozen = c.read()
	switch {
	case wanted.At != nil && wanted.Advance != nil:
		return at, frozen, errs.Invalid("advance", "is not allowed beside at")
	case wanted.At != nil:
		if at, err = moment(*wanted.At); err != nil {
			return at, frozen, err
		}
	case wanted.Advance != nil:
		at = at.Add(time.Duration(*wanted.Advance * float64(time.Second)))
		if !inRange(at) {
			return at, frozen, errs.Invalid("advance", "is out of range")
		}
	case wanted.Frozen == nil:
		return at, frozen, errs.Invalid("clock", errs.Blank)
	}
	if wanted.Frozen != nil {
		frozen = *wanted.Frozen
	}
	return at, frozen, nil
}

// GetWorldFaults implements GET /worlds/{worldId}/faults.
func (h handlers) GetWorldFaults(
	_ context.Context, request wire.GetWorldFaultsRequestObject,
) (wire.GetWorldFaultsResponseObject, error) {
	_, l, err := h.named(request.WorldId)
	if err != nil {
		return nil, err
	}
	return wire.GetWorldFaults200JSONResponse{Faults: l.faults.shown()}, nil
}

// SetWorldFaults implements PUT /worlds/{worldId}/faults.
func (h handlers) SetWorldFaults(
	_ context.Context, request wire.SetWorldFaultsRequestObject,
) (wire.SetWorldFaultsResponseObject, error) {
	w, l, err := h.named(request.WorldId)
	if err != nil {
		return nil, err
	}
	if err := checkFaults(request.Body.Faults, h.answers); err != nil {
		return nil, err
	}
	w.use(h.config.Now())
	return wire.SetWorldFaults200JSONResponse{Faults: l.faults.set(request.Body.Faults)}, nil
}

// ResetWorld implements POST /worlds/{worldId}/reset.
func (h handlers) ResetWorld(
	ctx context.Context, request wire.ResetWorldRequestObject,
) (wire.ResetWorldResponseObject, error) {
	w, err := h.find(request.WorldId)
	if err != nil {
		return nil, err
	}
	l, err := h.reset(ctx, w)
	if err != nil {
		return nil, err
	}
	return wire.ResetWorld200JSONResponse{World: w.shown(l, &h.config)}, nil
}
