package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"conduit/internal/auth"
	"conduit/internal/identity"
	"conduit/internal/transport"
)

// Serve answers requests, and does what is due from time to time, until ctx ends. Then it waits for requests under way,
// for [Options].ShutdownTimeout at most, and returns an error if they take longer. It needs [Options].Listen, and can
// be called once.
func (a *App) Serve(ctx context.Context) error {
	limitMemory()
	defer time.AfterFunc(settled, forgetStart).Stop()
	defer a.background(ctx)()
	return a.listenAndServe(ctx)
}

// settled is how long after the start the memory goes back to the system that only the start needed.
const settled = time.Second

// forgetStart gives back what reading the contract, migrating and making content has taken. Left alone, the garbage
// collector would keep it for minutes, and the system would keep the code in memory.
func forgetStart() {
	debug.FreeOSMemory()
	unmapProgram()
}

// memoryLimit is the size of the program, in bytes, from which the garbage collector works harder. The program needs
// less at once, for passwords being hashed and for what requests may take, see [httpapi.Config].
const memoryLimit = 300 << 20

// garbagePercent is how much garbage there may be before it is collected, in percent of what is in use. That is some
// 5 MB: collecting at the usual 100 percent would take a seventh of the time of a list.
const garbagePercent = 300

// limitMemory sets the limit unless GOMEMLIMIT does, and the percentage unless GOGC does.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// background starts what goes on beside requests. Keys and issuer are followed until ctx ends. Upkeep goes on until end
// is called, which is after the last request.
func (a *App) background(ctx context.Context) (end func()) {
	log := a.options.Log
	go a.Keys.Follow(ctx, 10*time.Second, func(made auth.KeyInfo) { a.keyMade(ctx, made) },
		func(err error) { log.Warn("signing keys not tended", "error", err) })
	go a.tokens.FollowIssuer(ctx, func(err error) { log.Warn("issuer not noted", "error", err) })

	if a.worlds != nil {
		go a.worlds.Run(ctx)
		context.AfterFunc(ctx, a.worlds.Close) // their delays and streams need not be waited for
	}
	upkeep, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() {
		a.upkeep().Run(upkeep)
	})
	running.Go(func() { a.Deletions.Run(upkeep) })
	running.Go(func() { a.Outbox.Run(upkeep) })
	return func() { stop(); running.Wait() }
}

func (a *App) upkeepFailed(err error) {
	a.figures.UpkeepFailed()
	a.options.Log.Warn("upkeep", "error", err)
}

// removed tells of a batch that was removed of what a deleted account has left.
func (a *App) removed(batch identity.Removal) {
	a.figures.Removed(batch.Rows)
	if batch.Done {
		a.options.Log.Info("a deleted account has nothing left", "user", batch.UserID)
	}
}

// arrivalTime is how long connections that are being opened have to be accepted.
const arrivalTime = 100 * time.Millisecond

func (a *App) listenAndServe(ctx context.Context) error {
	o, log := &a.options, a.options.Log
	server := &http.Server{
		Handler:           a.Handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       o.IdleTimeout,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // broken connections, which are no news
	}
	failed := make(chan error, 1)
	total, perNetwork := o.connections()
	limits := transport.Connections{Total: total, PerNetwork: perNetwork, Proxies: o.HTTP.TrustedProxies, Log: log}
	go func() { failed <- server.Serve(limits.Limit(transport.Listener(a.listener, o.HTTP.Origins))) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if o.ShutdownDelay > 0 {
		log.Info("about to stop: serving on until load balancers have noticed", "delay", o.ShutdownDelay)
		select {
		case err := <-failed:
			return err
		case <-time.After(o.ShutdownDelay):
		}
	}
	endArrivals(a.listener)
	time.Sleep(arrivalTime)
	log.Info("stopping: no new requests, those under way end", "timeout", o.ShutdownTimeout)
	a.Events.Drain() // now that others are asked: their clients come again at once
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.ShutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(fmt.Errorf("requests did not end in time: %w", err), server.Close())
	}
	return nil
}

// LocalURL returns the URL at which this machine reaches a server that listens on HOST:PORT: one that listens
// everywhere also listens on loopback.
func LocalURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", errors.New("want HOST:PORT, for example 127.0.0.1:8080")
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
