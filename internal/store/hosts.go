package store

import (
	"context"
	"errors"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A URL may name several servers, of which one takes writes: postgres://a,b/conduit?target_session_attrs=read-write.
// The driver asks one after the other, always from the first one on. That is no good where the first one hangs, since
// each connection waits for it; nor where it was replaced and does not know, since it still says that it takes writes.
// So connections begin with the next server once one has taken too long, or cannot get its standby's word; and none
// stays with a server of which another has taken the place.

// arrange puts the server with which a new connection begins before the others.
func (s *Store) arrange(_ context.Context, config *pgx.ConnConfig) error {
	all := hosts(config)
	first := int(s.first.Load()) % len(all)
	var order []*pgconn.FallbackConfig
	for i := range all {
		order = append(order, all[(first+i)%len(all)]...)
	}
	config.Host, config.Port, config.TLSConfig = order[0].Host, order[0].Port, order[0].TLSConfig
	config.Fallbacks = order[1:]
	return nil
}

// hosts returns the servers of a URL, each with the ways to reach it: with TLS and without.
func hosts(config *pgx.ConnConfig) (all [][]*pgconn.FallbackConfig) {
	ways := append([]*pgconn.FallbackConfig{
		{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig},
	}, config.Fallbacks...)
	for i, way := range ways {
		if i == 0 || way.Host != ways[i-1].Host || way.Port != ways[i-1].Port {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], way)
	}
	return all
}

// leave has connections begin with the next server, and those that are open used no more, unless somebody has seen to
// that since first was loaded.
func (s *Store) leave(first int64) {
	if s.several && s.first.CompareAndSwap(first, first+1) {
		s.servers.Add(1)
	}
}

// dialsKey is where a context has how often a connection was begun, at one server after the other.
type dialsKey struct{}

func counted(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials, ok := ctx.Value(dialsKey{}).(*int); ok {
			*dials++
		}
		return dial(ctx, network, addr)
	}
}

// notReplaced returns an error for a run of a server, as runSQL names it, on an older timeline than another server was
// on. Each server that takes the place of another begins a new one.
func (s *Store) notReplaced(run string) error {
	if !s.several || run == "" { // a standby is on none of its own
		return nil
	}
	timeline, err := strconv.ParseInt(run[:8], 16, 64)
	if err != nil {
		return err
	}
	for {
		newest := s.timeline.Load()
		switch {
		case timeline == newest:
			return nil
		case timeline < newest:
			s.leave(s.first.Load())
			return errReplaced
		case s.timeline.CompareAndSwap(newest, timeline):
			s.servers.Add(1)
			return nil
		}
	}
}

var errReplaced = errors.New("store: another server has taken the place of this one")

// connectFresh makes a connection outside of the pool.
func (s *Store) connectFresh(ctx context.Context) (*pgx.Conn, error) {
	config := s.fresh.Copy()
	if err := s.arrange(ctx, config); err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}
