//go:build failover

package failover_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const secret = "jakes secret"

// ledger is what clients were told.
type ledger struct {
	fleet []*instance
	began time.Time

	mutex    sync.Mutex
	comments map[string]bool   // by their text: whether they were acknowledged, or may be there
	articles map[string]bool   // the same, by title
	ended    []string          // tokens that were logged out, as was acknowledged
	failed   []string          // what should not have been answered
	counts   map[string]int    // of answers, by what was asked for
	last     [instances]moment // when each last acknowledged what
	gaps     [instances]gap
}

type moment struct{ write, use time.Time }

// gap is how long at most nothing was acknowledged.
type gap struct{ Write, Use time.Duration }

func newLedger(fleet []*instance) *ledger {
	return &ledger{
		fleet: fleet, began: time.Now(), counts: map[string]int{},
		comments: map[string]bool{}, articles: map[string]bool{},
	}
}

// ask sends a request to an instance and wants one of these statuses, or none that says anything: 503 or no answer.
func (l *ledger) ask(at int, request, token, body string, want ...int) (text []byte, status int) {
	began := time.Now()
	status, text = l.fleet[at].send(request, token, body)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	known := false
	for _, one := range want {
		known = known || one == status
	}
	if !known && status != 0 && status != http.StatusServiceUnavailable {
		l.failed = append(l.failed, fmt.Sprintf("%v to %v: %s at instance %d: %d %.300s",
			began.Sub(l.began), time.Since(l.began), request, at, status, text))
	}
	return text, status
}

// count notes an answer, and that an instance did acknowledge something if it did.
func (l *ledger) count(at int, what string, status int, acknowledged bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.counts[fmt.Sprint(what, " ", status)]++
	if !acknowledged {
		return
	}
	now, last, most := time.Now(), &l.last[at].write, &l.gaps[at].Write
	if what == "use" {
		last, most = &l.last[at].use, &l.gaps[at].Use
	}
	if !last.IsZero() {
		*most = max(*most, now.Sub(*last))
	}
	*last = now
}

// restartGaps returns the gaps so far, those that are open included.
func (l *ledger) restartGaps() (most gap) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for at := range l.gaps {
		most.Write = max(most.Write, l.gaps[at].Write, time.Since(l.last[at].write))
		most.Use = max(most.Use, l.gaps[at].Use, time.Since(l.last[at].use))
		l.gaps[at] = gap{}
	}
	return most
}

// wrote notes what came of something that is written once.
func (l *ledger) wrote(in map[string]bool, key string, acknowledged bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	in[key] = acknowledged
}

// acknowledged returns what was acknowledged so far.
func (l *ledger) acknowledged(in map[string]bool) (keys []string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for key, yes := range in {
		if yes {
			keys = append(keys, key)
		}
	}
	return keys
}

// person is a client with an account, who does one thing after the other and never logs out.
type person struct {
	*ledger
	name     string
	token    string
	slug     string // of the own article on which everything is written
	number   int    // of the next thing
	favorite *bool  // what was acknowledged; nil if an answer was lost
}

func (l *ledger) newPerson(name string) (*person, error) {
	p := &person{ledger: l, name: name}
	text, status := l.ask(0, "POST /users", "", fmt.Sprintf(
		`{"user":{"username":%q,"email":%q,"password":%q}}`, name, name+"@test.com", secret), http.StatusCreated)
	var answer struct{ User struct{ Token string } }
	if err := json.Unmarshal(text, &answer); err != nil || status != http.StatusCreated {
		return nil, fmt.Errorf("no account: %d %s", status, text)
	}
	p.token = answer.User.Token
	p.article(0)
	if p.slug == "" {
		return nil, fmt.Errorf("no article of %s", name)
	}
	return p, nil
}

func (p *person) next() string {
	p.number++
	return fmt.Sprint(p.name, "-", p.number)
}

func (p *person) article(at int) {
	title := p.next()
	text, status := p.ask(at, "POST /articles", p.token, fmt.Sprintf(
		`{"article":{"title":%q,"description":"d","body":"b","tagList":["t"]}}`, title), http.StatusCreated)
	p.wrote(p.articles, title, status == http.StatusCreated)
	p.count(at, "article", status, status == http.StatusCreated)
	var answer struct{ Article struct{ Slug string } }
	if status == http.StatusCreated && json.Unmarshal(text, &answer) == nil && p.slug == "" {
		p.slug = answer.Article.Slug
	}
}

func (p *person) comment(at int) {
	body := p.next()
	_, status := p.ask(at, "POST /articles/"+p.slug+"/comments", p.token, fmt.Sprintf(`{"comment":{"body":%q}}`, body),
		http.StatusCreated)
	p.wrote(p.comments, body, status == http.StatusCreated)
	p.count(at, "comment", status, status == http.StatusCreated)
}

func (p *person) mark(at int) {
	want, method := rand.IntN(2) == 0, "DELETE"
	if want {
		method = "POST"
	}
	_, status := p.ask(at, method+" /articles/"+p.slug+"/favorite", p.token, "", http.StatusOK)
	p.favorite = nil
	if status == http.StatusOK {
		p.favorite = &want
	}
	p.count(at, "favorite", status, status == http.StatusOK)
}

// look wants the favourite to be as it was acknowledged.
func (p *person) look(at int) {
	text, status := p.ask(at, "GET /articles/"+p.slug, p.token, "", http.StatusOK)
	var answer struct{ Article struct{ Favorited bool } }
	if status != http.StatusOK || p.favorite == nil {
		return
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Article.Favorited != *p.favorite {
		p.fail(fmt.Sprintf("%s was told favorited=%v and sees %s at instance %d (%v)",
			p.name, *p.favorite, text, at, err))
	}
}

func (l *ledger) fail(what string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.failed = append(l.failed, fmt.Sprint(time.Since(l.began), ": ", what))
}

// write does one thing after the other.
func (p *person) write(done <-chan struct{}) {
	for pause(done, 20*time.Millisecond) {
		at := rand.IntN(instances)
		switch rand.IntN(8) {
		case 0:
			p.article(at)
		case 1, 2:
			p.mark(at)
			p.look(at)
		default:
			p.comment(at)
		}
		p.use(rand.IntN(instances), p.token)
	}
}

// use uses a token that must be good.
func (l *ledger) use(at int, token string) bool {
	_, status := l.ask(at, "GET /user", token, "", http.StatusOK)
	l.count(at, "use", status, status == http.StatusOK)
	return status == http.StatusOK
}

// pause returns whether to go on.
func pause(done <-chan struct{}, lasts time.Duration) bool {
	select {
	case <-done:
		return false
	case <-time.After(lasts):
		return true
	}
}

// leave logs in and out all the time. Whatever was logged out is asked for everywhere at once.
func (p *person) leave(done <-chan struct{}) {
	for pause(done, 20*time.Millisecond) {
		at := rand.IntN(instances)
		text, status := p.ask(at, "POST /users/login", "", fmt.Sprintf(`{"user":{"email":%q,"password":%q}}`,
			p.name+"@test.com", secret), http.StatusOK)
		p.count(at, "login", status, status == http.StatusOK)
		var answer struct{ User struct{ Token string } }
		if status != http.StatusOK || json.Unmarshal(text, &answer) != nil {
			continue
		}
		token := answer.User.Token
		p.everywhere(func(at int) { p.use(at, token) })
		_, status = p.ask(at, "POST /users/logout", token, "", http.StatusNoContent)
		p.count(at, "logout", status, status == http.StatusNoContent)
		if status != http.StatusNoContent {
			continue
		}
		p.everywhere(func(at int) { p.out(at, token) })
		p.mutex.Lock()
		p.ended = append(p.ended, token)
		p.mutex.Unlock()
	}
}

// out uses a token that must not be good any more.
func (l *ledger) out(at int, token string) {
	_, status := l.ask(at, "GET /user", token, "", http.StatusUnauthorized)
	l.count(at, "use after the end", status, false)
}

func (l *ledger) everywhere(do func(at int)) {
	var doing sync.WaitGroup
	for at := range l.fleet {
		doing.Go(func() { do(at) })
	}
	doing.Wait()
}

// watch uses tokens of sessions that were ended long ago or just now.
func (l *ledger) watch(done <-chan struct{}) {
	for pause(done, 5*time.Millisecond) {
		l.mutex.Lock()
		var token string
		if n := len(l.ended); n > 0 {
			token = l.ended[n-1-rand.IntN(min(n, 50))]
		}
		l.mutex.Unlock()
		if token != "" {
			l.out(rand.IntN(instances), token)
		}
	}
}

// renewal is a session with refresh tokens.
type renewal struct {
	Session struct{ AccessToken, RefreshToken string }
}

// renew exchanges refresh tokens all the time. If an answer is lost it presents the same token again, as apps do.
func (p *person) renew(done <-chan struct{}) {
	var now renewal
	for request := "POST /sessions"; pause(done, 20*time.Millisecond); {
		at, want := rand.IntN(instances), http.StatusOK
		body := fmt.Sprintf(`{"session":{"refreshToken":%q}}`, now.Session.RefreshToken)
		if request == "POST /sessions" {
			body, want = fmt.Sprintf(`{"session":{"email":%q,"password":%q}}`, p.name+"@test.com", secret),
				http.StatusCreated
		}
		text, status := p.ask(at, request, "", body, want)
		p.count(at, "refresh", status, status == want)
		var next renewal
		switch {
		case status == want && json.Unmarshal(text, &next) == nil:
			now, request = next, "POST /sessions/refresh"
			p.use(rand.IntN(instances), now.Session.AccessToken)
		case status == http.StatusUnauthorized:
			request = "POST /sessions" // which ask has noted as a failure
		}
	}
}
