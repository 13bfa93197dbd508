package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestProxyForwards(t *testing.T) {
	t.Parallel()
	dsn := Postgres(t)
	proxied, _ := NewProxy(t, dsn)
	const database = "select current_database()"
	direct, through := value[string](t, Connect(t, dsn), database), value[string](t, Connect(t, proxied), database)
	if direct != through {
		t.Errorf("the proxy leads to %s, not to %s", through, direct)
	}
}

func TestProxyStops(t *testing.T) {
	t.Parallel()
	proxied, proxy := NewProxy(t, Postgres(t))
	// Far more than a refusal takes: an outage that is only noticed by a deadline was not the one to play.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	old := Connect(t, proxied)
	proxy.Stop()
	if _, err := old.Exec(ctx, "select 1"); err == nil || ctx.Err() != nil {
		t.Errorf("query on a broken connection: %v", err)
	}
	if _, err := pgx.Connect(ctx, proxied); err == nil || ctx.Err() != nil {
		t.Errorf("connection to a stopped server: %v", err)
	}

	proxy.Start()
	if got := value[int](t, Connect(t, proxied), "select 1"); got != 1 {
		t.Errorf("after Start the server answers %d", got)
	}
}

func TestProxyBreaksRunningQueries(t *testing.T) {
	t.Parallel()
	dsn := Postgres(t)
	proxied, proxy := NewProxy(t, dsn)
	// The query waits for a lock that another connection has, so that it is surely running when the server stops.
	lock := Connect(t, dsn)
	if _, err := lock.Exec(t.Context(), "select pg_advisory_lock(1)"); err != nil {
		t.Fatal(err)
	}
	conn := Connect(t, proxied)
	result := make(chan error)
	go func() {
		_, err := conn.Exec(context.Background(), "select pg_advisory_lock(1)")
		result <- err
	}()
	const waiting = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
	for !value[bool](t, lock, waiting) {
	}
	proxy.Stop()
	if err := <-result; err == nil {
		t.Errorf("a query survived the end of the server")
	}
}

func TestProxyFreezes(t *testing.T) {
	t.Parallel()
	proxied, proxy := NewProxy(t, Postgres(t))
	expired := func(what string, try func(context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := try(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", what, err)
		}
	}
	old, waiting := Connect(t, proxied), Connect(t, proxied)
	proxy.Freeze()
	expired("query on an open connection", func(ctx context.Context) error {
		_, err := old.Exec(ctx, "select 1")
		return err
	})
	expired("new connection", func(ctx context.Context) error {
		_, err := pgx.Connect(ctx, proxied)
		return err
	})

	answer := make(chan error)
	go func() {
		_, err := waiting.Exec(context.Background(), "select 1")
		answer <- err
	}()
	proxy.Thaw()
	if err := <-answer; err != nil {
		t.Errorf("a query that outwaited the freeze: %v", err)
	}
	if got := value[int](t, Connect(t, proxied), "select 1"); got != 1 {
		t.Errorf("after Thaw the server answers %d", got)
	}
}

func TestProxyEndsFrozen(t *testing.T) {
	t.Parallel()
	proxied, proxy := NewProxy(t, Postgres(t))
	conn := Connect(t, proxied)
	proxy.Freeze()
	result := make(chan error)
	go func() {
		_, err := conn.Exec(context.Background(), "select 1")
		result <- err
	}()
	proxy.Stop()
	if err := <-result; err == nil {
		t.Errorf("a frozen server that stopped has answered")
	}
}

func TestProxySilences(t *testing.T) {
	t.Parallel()
	for name, heard := range map[string]bool{"requests": false, "answers": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := Postgres(t)
			proxied, proxy := NewProxy(t, dsn)
			old := Connect(t, proxied)
			if _, err := old.Exec(t.Context(), "create table t (n int)"); err != nil {
				t.Fatal(err)
			}
			if heard {
				proxy.LoseAnswers()
			} else {
				proxy.Silence()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, err := old.Exec(ctx, "insert into t values (1)"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("on the old connection: %v", err)
			}
			if got := value[bool](t, Connect(t, proxied), "select exists (select from t)"); got != heard {
				t.Errorf("done: %t, want %t", got, heard)
			}
		})
	}
}
