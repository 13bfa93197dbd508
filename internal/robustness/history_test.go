package robustness_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

// plan is what is drawn for a history.
type plan struct {
	Faults  []fault
	Clients [clients][]step
}

// step is what a client does next.
type step struct {
	What     string
	Instance int
	Pick     int // which session
	Other    int // which other
	Pause    int // milliseconds before
}

const (
	users    = 2
	clients  = 3 * users
	watchers = 2 * users // who use tokens all the time
)

func drawPlan(t *rapid.T) (p plan) {
	p.Faults = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fault {
		return fault{
			Kind:     rapid.SampledFrom(faults).Draw(t, "kind"),
			Instance: rapid.IntRange(0, instances-1).Draw(t, "instance"),
			After:    rapid.IntRange(0, 150).Draw(t, "after"),
			Lasts:    rapid.IntRange(60, 350).Draw(t, "lasts"),
		}
	}), 2, 4).Draw(t, "faults")
	does := []string{
		login, login, login, use, writeBio, writeBio, writeBio, logout, logout, endOne, endOne, endOthers, password,
	}
	for n := range p.Clients {
		p.Clients[n] = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				What:     rapid.SampledFrom(does).Draw(t, "what"),
				Instance: rapid.IntRange(0, instances-1).Draw(t, "instance"),
				Pick:     rapid.IntRange(0, 99).Draw(t, "pick"),
				Other:    rapid.IntRange(0, 99).Draw(t, "other"),
				Pause:    rapid.IntRange(0, 60).Draw(t, "pause"),
			}
		}), 12, 20).Draw(t, fmt.Sprint("client ", n))
	}
	return p
}

// history is what happened in one run.
type history struct {
	*fleet
	began time.Time

	mutex  sync.Mutex
	acts   []act
	people [users]*account
	failed []string // what should not have been answered
}

// account is a user, as clients know of it.
type account struct {
	number   int
	name     string
	mutex    sync.Mutex
	sessions []session // all that ever began
	over     map[string]bool
	bios     int
}

type session struct{ id, token string }

const secret = "jakes secret"

// do does something and notes it.
func (h *history) do(a act, request, token, body string) act {
	_, done := h.ask(a, request, token, body)
	return done
}

func (h *history) ask(a act, request, token, body string) (person, act) {
	a.call = int64(time.Since(h.began))
	status, text := h.members[a.instance].send(request, token, body)
	a.back, a.status = int64(time.Since(h.began)), status
	var answer person
	if a.done() && len(text) > 0 && (a.what == login || a.what == use) {
		var err error
		if answer, err = read(text); err != nil {
			h.wrong(a, text)
		}
	}
	switch {
	case a.what == login && a.done():
		a.by = sessionID(answer.User.Token)
	case a.what == use && a.done():
		a.bio = answer.User.Bio
	case !a.done() && !a.unknown() && a.status != 401 && (a.what != endOne || a.status != 404):
		h.wrong(a, text)
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.acts = append(h.acts, a)
	return answer, a
}

func (h *history) wrong(a act, text []byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.failed = append(h.failed, fmt.Sprintf("%v %.300s", a, text))
}

// sessionID returns the session that a token names.
func sessionID(token string) string {
	var claims struct{ Sid string }
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(text, &claims)
	}
	return claims.Sid
}

func (h *history) login(client, instance int, of *account) (session, bool) {
	return h.enter(client, instance, of, "POST /users/login", "")
}

func (h *history) enter(client, instance int, of *account, request, more string) (session, bool) {
	answer, a := h.ask(act{what: login, client: client, instance: instance, user: of.number}, request, "",
		fmt.Sprintf(`{"user":{%s"email":%q,"password":%q}}`, more, of.name+"@test.com", secret))
	fresh := session{a.by, answer.User.Token}
	if a.done() {
		of.mutex.Lock()
		defer of.mutex.Unlock()
		of.sessions = append(of.sessions, fresh)
	}
	return fresh, a.done()
}

func (h *history) use(client, instance int, of *account, s session) act {
	return h.do(act{what: use, client: client, instance: instance, user: of.number, by: s.id}, "GET /user", s.token, "")
}

// useEverywhere uses a token at all instances at once.
func (h *history) useEverywhere(client int, of *account, s session) {
	var asking sync.WaitGroup
	for i := range h.members {
		asking.Go(func() { h.use(client*10+100+i, i, of, s) })
	}
	asking.Wait()
}

// pick returns a session, one that seems to be live if there is any.
func (of *account) pick(n int) session {
	of.mutex.Lock()
	defer of.mutex.Unlock()
	live := slices.DeleteFunc(slices.Clone(of.sessions), func(s session) bool { return of.over[s.id] })
	if len(live) == 0 {
		live = of.sessions
	}
	return live[n%len(live)]
}

// end notes that sessions may be over, and returns them.
func (of *account) end(which func(s session) bool) (ended []session) {
	of.mutex.Lock()
	defer of.mutex.Unlock()
	for _, s := range of.sessions {
		if which(s) && !of.over[s.id] {
			of.over[s.id] = true
			ended = append(ended, s)
		}
	}
	return ended
}

// take does what a client does next. What has ended or changed is asked for everywhere as soon as that is answered.
func (h *history) take(client int, of *account, next step) {
	time.Sleep(time.Duration(next.Pause) * time.Millisecond)
	mine, other := of.pick(next.Pick), of.pick(next.Other)
	a := act{what: next.What, client: client, instance: next.Instance, user: of.number, by: mine.id}
	var ended []session
	switch next.What {
	case login:
		if s, ok := h.login(client, next.Instance%loginsAt, of); ok {
			h.useEverywhere(client, of, s)
		}
	case use:
		h.useEverywhere(client, of, mine)
	case writeBio:
		of.mutex.Lock()
		of.bios++
		a.bio = fmt.Sprint(of.bios)
		of.mutex.Unlock()
		h.do(a, "PUT /user", mine.token, fmt.Sprintf(`{"user":{"bio":%q}}`, a.bio))
		h.useEverywhere(client, of, mine)
	case logout:
		ended = of.end(func(s session) bool { return s == mine })
		h.do(a, "POST /users/logout", mine.token, "")
	case endOne:
		a.target = other.id
		of.end(func(s session) bool { return s == other })
		h.endTwice(a, of, mine, other)
	case endOthers:
		ended = of.end(func(s session) bool { return s != mine })
		h.do(a, "DELETE /user/sessions", mine.token, "")
	case password:
		ended = of.end(func(s session) bool { return s != mine })
		h.do(a, "PUT /user", mine.token, fmt.Sprintf(`{"user":{"password":%q}}`, secret))
	}
	var asking sync.WaitGroup
	for _, s := range ended[:min(len(ended), 3)] {
		asking.Go(func() { h.useEverywhere(client, of, s) })
	}
	asking.Wait()
}

// endTwice ends a session at two instances at once, as impatient people do. One of them finds that it is gone.
// Whichever answer comes first, nobody may be accepted after it.
func (h *history) endTwice(a act, of *account, mine, other session) {
	var ending sync.WaitGroup
	for n := range 2 {
		ending.Go(func() {
			a := a
			a.client, a.instance = a.client+20*n, (a.instance+n)%instances
			h.do(a, "DELETE /user/sessions/"+other.id, mine.token, "")
			h.useEverywhere(a.client, of, other)
		})
	}
	ending.Wait()
}

// watch uses tokens all the time, so that they are remembered everywhere.
func (h *history) watch(client int, of *account, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Millisecond):
		}
		of.mutex.Lock()
		s := of.sessions[rand.IntN(len(of.sessions))]
		of.mutex.Unlock()
		if rand.IntN(4) > 0 {
			s = of.pick(rand.IntN(100))
		}
		h.use(client, rand.IntN(instances), of, s)
	}
}

// run plays a plan.
func (f *fleet) run(t *testing.T, p plan, name string) *history {
	t.Helper()
	h := &history{fleet: f, began: time.Now()}
	for n := range h.people {
		of := &account{number: n, name: fmt.Sprint(name, "u", n), over: map[string]bool{}}
		if _, ok := h.enter(n, 0, of, "POST /users", fmt.Sprintf(`"username":%q,`, of.name)); !ok {
			t.Fatal("no account: ", h.acts)
		}
		for i := range 3 {
			h.login(n, i%loginsAt, of)
		}
		h.people[n] = of
	}
	var working, watching sync.WaitGroup
	done := make(chan struct{})
	for n, steps := range p.Clients {
		working.Go(func() {
			for _, next := range steps {
				h.take(n, h.people[n%users], next)
			}
		})
	}
	for n := range watchers {
		watching.Go(func() { h.watch(50+n, h.people[n%users], done) })
	}
	for _, what := range p.Faults {
		f.play(t, what)
	}
	working.Wait()
	close(done)
	watching.Wait()
	h.settle(t)
	return h
}

// settle wants the instances to be well again, and asks all of them for all sessions.
func (h *history) settle(t *testing.T) {
	t.Helper()
	of := h.people[0]
	for n := range h.members {
		for late := time.Now().Add(20 * time.Second); ; {
			if s, ok := h.login(90, n%loginsAt, of); ok && h.use(90, n, of, s).done() {
				break
			}
			if time.Now().After(late) {
				t.Fatalf("instance %d is not well after the faults", n)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	for _, of := range h.people {
		for _, s := range of.sessions {
			h.useEverywhere(91, of, s)
		}
	}
}

// TestHistories draws what people and faults do, has them do it, and wants what came of it to be possible. More
// histories are drawn with -rapid.checks, the same plans again with -rapid.seed.
func TestHistories(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	count, counts, checked := 0, map[string]int{}, 0
	rapid.Check(t, func(r *rapid.T) {
		p := drawPlan(r)
		if t.Failed() { // once is enough
			return
		}
		h := f.run(t, p, fmt.Sprint("h", count))
		count++
		for _, a := range h.acts {
			counts[fmt.Sprint(a.what, " ", a.status)]++
		}
		for _, what := range p.Faults {
			counts["fault: "+what.Kind]++
		}
		counts["uses that began after the end of their session was answered"] += usesAfterTheEnd(h.acts)
		found, n := judge(h.acts)
		checked += n
		report(t, found, h, p)
	})
	t.Logf("%d histories, %d checks, in which:", count, checked)
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%6d %s", counts[what], what)
	}
}

// usesAfterTheEnd counts the requests that had to be refused, at whichever instance.
func usesAfterTheEnd(acts []act) (uses int) {
	began := map[string]int64{}
	for _, a := range acts {
		if a.what == login && a.done() {
			began[a.by] = a.back
		}
	}
	for _, a := range acts {
		if a.what == use && slices.ContainsFunc(acts, func(end act) bool {
			return end.done() && end.ends(a.by, a.user) && began[a.by] < end.call && end.back < a.call
		}) {
			uses++
		}
	}
	return uses
}

// report fails the test if there is something to tell.
func report(t *testing.T, found []finding, h *history, p plan) {
	t.Helper()
	for _, what := range h.failed {
		t.Error("strange answer: ", what)
	}
	for n, f := range found[:min(len(found), 3)] {
		file := filepath.Join(t.ArtifactDir(), fmt.Sprintf("finding-%d.html", n))
		if err := porcupine.VisualizePath(f.model, f.info, file); err != nil {
			t.Error(err)
		}
		t.Errorf("finding %d of %d (drawn in %s; kept with -artifacts): %v", n+1, len(found), file, f)
	}
	if t.Failed() {
		t.Errorf("faults: %+v", p.Faults)
		t.Errorf("the same plans: go test ./internal/robustness -run TestHistories -rapid.seed=%v",
			flag.Lookup("rapid.seed").Value)
	}
}
