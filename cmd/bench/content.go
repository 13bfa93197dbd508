package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// content is what article cases ask for.
type content struct {
	slugs  []string // from everywhere between the newest article and the oldest
	tags   []string
	people []string // names
	offset string   // of a page at nine tenths of the list
	cursor string   // of the same page
}

// articlePage is what is read of a list.
type articlePage struct {
	Articles []struct {
		Slug   string
		Author struct{ Username string }
	}
	NextCursor string
}

// pageSize is how many articles a page holds when nobody says how many.
const pageSize = 20

// fill has Conduit make the content of a site, of which it knows only how much there is. There are more people where
// there are more articles, as in life; nobody is left with less than a page.
func (s site) fill(ctx context.Context, program, database string) (time.Duration, error) {
	start := time.Now()
	command := exec.CommandContext(ctx, program, "seed",
		"--users="+strconv.Itoa(max(20, s.articles/100)), "--articles="+strconv.Itoa(s.articles))
	command.Env = environment(database)
	if output, err := command.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, output)
	}
	if s.database == sqlite {
		return time.Since(start), nil
	}
	// What PostgreSQL does by itself within minutes. Without it, plans are made for tables that seem to be empty.
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return 0, err
	}
	_, err = conn.Exec(ctx, "vacuum analyze")
	return time.Since(start), errors.Join(err, conn.Close(ctx))
}

// fill fills the sites that have articles, all at once: one would leave a CPU idle.
func (s *servers) fill(ctx context.Context) error {
	var everything sync.WaitGroup
	var mutex sync.Mutex
	var failed error
	for place, one := range s.bySite {
		if place.articles == 0 {
			continue
		}
		everything.Go(func() {
			took, err := place.fill(ctx, s.conduit, one.database)
			mutex.Lock()
			defer mutex.Unlock()
			one.filling = took
			if err != nil {
				failed = fmt.Errorf("filling %v: %w", place, err)
			}
		})
	}
	everything.Wait()
	return failed
}

// findContent looks around, as a reader would, for what the cases then ask for: everything from a list has a full page.
func (s *server) findContent(c *client, articles int) error {
	pages := min(20, articles/100)
	var people []string
	for i := range pages {
		var page articlePage
		path := fmt.Sprintf("/api/articles?limit=100&offset=%d", i*(articles/pages))
		if err := s.get(c, path, "", &page); err != nil {
			return err
		}
		for _, article := range page.Articles {
			s.content.slugs = append(s.content.slugs, article.Slug)
			if name := article.Author.Username; !slices.Contains(people, name) {
				people = append(people, name)
			}
		}
	}
	if len(people) == 0 {
		return errors.New("there are no articles")
	}
	if err := s.findTags(c); err != nil {
		return err
	}
	for _, name := range people[1:] {
		if err := s.tryPerson(c, name, people[0]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(s.content.people) == 10 {
			break
		}
	}

	deep := articles / 10 * 9
	s.content.offset = strconv.Itoa(deep)
	var before articlePage
	if err := s.get(c, fmt.Sprintf("/api/articles?offset=%d", deep-pageSize), "", &before); err != nil {
		return err
	}
	s.content.cursor = before.NextCursor
	if len(s.content.people) < 2 || len(s.content.tags) < 2 || s.content.cursor == "" {
		return fmt.Errorf("the demo content has too little: %d people and %d tags with a full page, cursor %q",
			len(s.content.people), len(s.content.tags), s.content.cursor)
	}
	return nil
}

func (s *server) findTags(c *client) error {
	var answer struct{ Tags []string }
	if err := s.get(c, "/api/tags", "", &answer); err != nil {
		return err
	}
	for _, tag := range answer.Tags {
		full, err := s.isFull(c, "/api/articles?tag="+url.QueryEscape(tag), "")
		if err != nil {
			return err
		}
		if full {
			s.content.tags = append(s.content.tags, tag)
		}
	}
	return nil
}

// tryPerson takes a person if they have written, marked and follow enough. Each follows a famous author too, as people
// do: of the demo content the author of the newest article has written a tenth.
func (s *server) tryPerson(c *client, name, famous string) error {
	var answer session
	if err := c.ask(s.loggingIn(name, "password123"), &answer); err != nil {
		return err
	}
	follow := s.request(http.MethodPost, "/api/profiles/"+famous+"/follow", answer.User.Token, "")
	if err := c.ask(follow, &struct{}{}); err != nil {
		return err
	}
	paths := []string{"/api/articles?author=" + name, "/api/articles?favorited=" + name, "/api/articles/feed"}
	for _, path := range paths {
		if full, err := s.isFull(c, path, answer.User.Token); err != nil || !full {
			return err
		}
	}
	s.content.people, s.readers = append(s.content.people, name), append(s.readers, answer.User.Token)
	return nil
}

func (s *server) isFull(c *client, path, token string) (bool, error) {
	var page articlePage
	err := s.get(c, path, token, &page)
	return len(page.Articles) == pageSize, err
}

func (s *server) get(c *client, path, token string, answer any) error {
	return c.ask(s.request(http.MethodGet, path, token, ""), answer)
}
