package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How much is measured of worlds.
const (
	manyWorlds   = 64
	worldTries   = 200     // worlds that are made, and resets
	otherSeeds   = 40      // worlds whose demo content nobody has made before
	quietTries   = 1500    // requests of a world that behaves
	crowdOpen    = 1000    // open requests of one that does not
	crowdWriters = 8       // of its clients that publish
	crowdWrites  = 100_000 // articles
)

// printWorlds measures worlds: what it takes to make and to reset one, what memory one takes, and how much one that
// misbehaves slows another.
func printWorlds(ctx context.Context, stdout, progress io.Writer, quick bool) (err error) {
	running, err := startServers(ctx, []*benchCase{{site: bare}}, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.stop()) }()
	w := &worldBench{
		server: &server{database: "sqlite::memory:"}, bare: running.bySite[bare], stdout: stdout, progress: progress,
		share: 1,
	}
	if quick {
		w.share = 20
	}
	if err := w.server.launch(ctx, running.conduit, "serve", "--listen=127.0.0.1:0", "--log-level=error", "--worlds",
		"--key-file="+running.folder+"/worlds.key"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.server.stop()) }()
	if w.client, err = connect(ctx, w.server.address); err != nil {
		return err
	}
	defer w.client.conn.Close()
	row(stdout, "worlds", "p50", "p99")
	rule(stdout, 1, 2)
	return errors.Join(w.making(), w.memory(), w.misbehaving(ctx))
}

type worldBench struct {
	server, bare     *server
	client           *client
	stdout, progress io.Writer
	share            int // of the numbers above
}

// times are how long requests took.
type times []time.Duration

func (t times) percentile(percent int) float64 {
	slices.Sort(t)
	return float64(t[(len(t)-1)*percent/100].Microseconds()) / 1000
}

func (w *worldBench) print(what string, taken times) {
	row(w.stdout, what, number(taken.percentile(50), 2), number(taken.percentile(99), 2))
}

// ask sends a request, wants a status, and adds to the times how long it took.
func (w *worldBench) ask(c *client, status int, request []byte, taken *times) ([]byte, error) {
	began := time.Now()
	got, body, err := c.exchange(request)
	switch {
	case err != nil:
		return nil, err
	case got != status:
		return nil, fmt.Errorf("%s: %d, want %d: %s", request, got, status, body)
	}
	if taken != nil {
		*taken = append(*taken, time.Since(began))
	}
	return body, nil
}

// make makes a world and returns its path.
func (w *worldBench) make(seed int, demo bool, taken *times) (path string, err error) {
	const at = "2026-01-02T12:00:00Z"
	body, err := w.ask(w.client, http.StatusCreated, w.server.request(http.MethodPost, "/worlds", "",
		fmt.Sprintf(`{"world":{"seed":%d,"at":%q,"demo":%t}}`, seed, at, demo)), taken)
	if err != nil {
		return "", err
	}
	_, id, _ := strings.Cut(string(body), `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	return "/worlds/" + id, nil
}

func (w *worldBench) end(path string) error {
	_, err := w.ask(w.client, http.StatusNoContent, w.server.request(http.MethodDelete, path, "", ""), nil)
	return err
}

func (w *worldBench) making() error {
	fmt.Fprintln(w.progress, "making worlds")
	for _, kind := range []struct {
		name  string
		count int
		demo  bool
		seed  func(i int) int
	}{
		{"make a world, ms", worldTries, false, func(i int) int { return i + 1 }},
		{"make one with demo content of a seed that was used before, ms", worldTries, true, func(int) int { return 1 }},
		{"make one with demo content of a new seed, ms", otherSeeds, true, func(i int) int { return i + 2 }},
	} {
		var taken times
		if kind.seed(0) == kind.seed(1) { // the first of its kind is no part of it
			path, err := w.make(kind.seed(0), kind.demo, nil)
			if err := errors.Join(err, w.end(path)); err != nil {
				return err
			}
		}
		for i := range max(kind.count/w.share, 2) {
			path, err := w.make(kind.seed(i), kind.demo, &taken)
			if err != nil {
				return err
			}
			if err := w.end(path); err != nil {
				return err
			}
		}
		w.print(kind.name, taken)
	}
	path, err := w.make(1, true, nil)
	if err != nil {
		return err
	}
	var taken times
	for range worldTries / w.share {
		if _, err := w.ask(w.client, http.StatusCreated, w.publication(path, w.token(path), 1), nil); err != nil {
			return err
		}
		if _, err := w.ask(w.client, http.StatusOK, w.server.request(http.MethodPost, path+"/reset", "", ""),
			&taken); err != nil {
			return err
		}
	}
	w.print("reset one in which something was written, ms", taken)
	var alone times
	probe, err := connect(context.Background(), w.bare.address)
	if err != nil {
		return err
	}
	defer probe.conn.Close()
	for range quietTries / w.share {
		user := w.bare.request(http.MethodGet, "/api/user", "", "")
		if _, err := w.ask(probe, http.StatusOK, user, &alone); err != nil {
			return err
		}
	}
	w.print("a bare answer, ms", alone)
	return w.end(path)
}

// token returns that of somebody who has just registered in a world.
func (w *worldBench) token(path string) string {
	body, err := w.ask(w.client, http.StatusCreated, w.server.request(http.MethodPost, path+"/api/users", "",
		`{"user":{"username":"bench","email":"bench@example.com","password":"a long password"}}`), nil)
	if err != nil {
		return "" // what comes next fails and says why
	}
	_, token, _ := strings.Cut(string(body), `"token":"`)
	token, _, _ = strings.Cut(token, `"`)
	return token
}

func (w *worldBench) publication(path, token string, n int) []byte {
	return w.server.request(http.MethodPost, path+"/api/articles", token, fmt.Sprintf(
		`{"article":{"title":"Number %d","description":"One of many","body":"Short.","tagList":["bench"]}}`, n))
}

func (w *worldBench) memory() error {
	fmt.Fprintln(w.progress, "filling the server with worlds")
	size := func() float64 {
		time.Sleep(2 * time.Second) // until what making took is given back
		mb, _ := strconv.ParseFloat(w.server.memory("VmRSS"), 64)
		return mb
	}
	var paths []string
	before := size()
	for i := range manyWorlds {
		path, err := w.make(i%4+1, true, nil)
		if err != nil {
			return err
		}
		paths = append(paths, path)
		if _, err := w.ask(w.client, http.StatusCreated, w.publication(path, w.token(path), 1), nil); err != nil {
			return err
		}
	}
	row(w.stdout, "memory of each of 64 in use, MB", number((size()-before)/manyWorlds, 2), "")
	for _, path := range paths {
		if err := w.end(path); err != nil {
			return err
		}
	}
	return nil
}

// quiet measures a world that behaves: it reads a list, and publishes now and then.
func (w *worldBench) quiet(path, token string, n *int) (reads, writes times, err error) {
	read := w.server.request(http.MethodGet, path+"/api/articles", "", "")
	for i := range quietTries / w.share {
		if _, err := w.ask(w.client, http.StatusOK, read, &reads); err != nil {
			return nil, nil, err
		}
		if i%5 == 0 {
			*n++
			if _, err := w.ask(w.client, http.StatusCreated, w.publication(path, token, *n), &writes); err != nil {
				return nil, nil, err
			}
		}
	}
	return reads, writes, nil
}

func (w *worldBench) misbehaving(ctx context.Context) error {
	quiet, err := w.make(1, true, nil)
	if err != nil {
		return err
	}
	bad, err := w.make(2, false, nil)
	if err != nil {
		return err
	}
	token, badToken, n := w.token(quiet), w.token(bad), 0
	reads, writes, err := w.quiet(quiet, token, &n)
	if err != nil {
		return err
	}
	show := func(when string) {
		w.print("a list of 20 articles, "+when+", ms", reads)
		w.print("publishing an article, "+when+", ms", writes)
	}
	show("alone")

	fmt.Fprintln(w.progress, "one world misbehaves")
	if _, err := w.ask(w.client, http.StatusOK, w.server.request(http.MethodPut, bad+"/faults", "",
		`{"faults":[{"operationId":"getTags","delay":60}]}`), nil); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer end()
	for range crowdOpen / w.share {
		c, err := connect(ctx, w.server.address)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = c.conn.Close() })
		if _, err := c.conn.Write(w.server.request(http.MethodGet, bad+"/api/tags", "", "")); err != nil {
			return err
		}
	}
	writing := make(chan error, crowdWriters)
	for writer := range crowdWriters {
		c, err := connect(ctx, w.server.address)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = c.conn.Close() })
		crowd.Go(func() {
			var failed error
			for i := writer; i < crowdWrites/w.share && failed == nil; i += crowdWriters {
				_, failed = w.ask(c, http.StatusCreated, w.publication(bad, badToken, i), nil)
			}
			writing <- failed
		})
	}
	if reads, writes, err = w.quiet(quiet, token, &n); err != nil {
		return err
	}
	show("beside 1,000 open requests and 8 who publish in another world")
	for range crowdWriters {
		if err := <-writing; err != nil {
			return err
		}
	}
	for range crowdWriters {
		c, err := connect(ctx, w.server.address)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, func() { _ = c.conn.Close() })
		crowd.Go(func() {
			path := fmt.Sprintf("%s/api/articles?offset=%d", bad, crowdWrites/w.share-100)
			list := w.server.request(http.MethodGet, path, "", "")
			for {
				if _, _, err := c.exchange(list); err != nil {
					return
				}
			}
		})
	}
	if reads, writes, err = w.quiet(quiet, token, &n); err != nil {
		return err
	}
	show("beside 8 who read far down the 100,000 articles of another world")
	return nil
}
