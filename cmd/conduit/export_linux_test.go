package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"conduit/internal/store/storetest"
)

// TestMemoryOfExports exports an account with 200,000 articles, all of one moment, from the program as it is shipped.
// What the account has makes the answer long, and not the program large.
func TestMemoryOfExports(t *testing.T) {
	const articles = 200_000
	binary := filepath.Join(t.TempDir(), "conduit")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-o", binary,
		".").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	storetest.EachURL(t, func(t *testing.T, url string) {
		p := startProgram(t, binary, url)
		token := p.register(t, "jake")
		must(t, storetest.Execute(t, url, fmt.Sprintf(`
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < %d)
insert into articles (slug, title, description, body, tag_list, author_id, created_at, updated_at)
select 's' || n, 't', 'd', replace('x x x x x x x x x x', 'x', '%0100d'), '["a","b"]', 1, created_at, created_at
  from numbers, users where id = 1`, articles, 0)))
		before, began := p.peak(t), time.Now()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/user/export", http.NoBody)
		must(t, err)
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := (&http.Client{Transport: &http.Transport{DisableCompression: true}}).Do(request)
		must(t, err)
		defer func() { _ = response.Body.Close() }()
		read, found := &counting{from: response.Body}, 0
		for tokens := json.NewDecoder(read); ; {
			next, err := tokens.Token()
			if err == io.EOF {
				break
			}
			must(t, err)
			if next == "slug" {
				found++
			}
		}
		wantSame(t, "articles", articles, found)
		after := p.peak(t)
		t.Logf("%d MB in %v; %d MB of memory before, %d after", read.bytes>>20, time.Since(began), before, after)
		if after > before+60 {
			t.Errorf("the program grew from %d to %d MB", before, after)
		}
	})
}

// counting counts what is read.
type counting struct {
	from  io.Reader
	bytes int64
}

func (c *counting) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	c.bytes += int64(n)
	return n, err
}
