package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestDemoPicturesAfterAMove: the server comes back on another port, and every picture that the API names is there. So
// it is after a settings page has sent an image back as it got it.
func TestDemoPicturesAfterAMove(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		if _, err := invoke(t, nil, "seed", "--database", url, "--public-url=http://127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
		for range 2 { // seed has said another place, and the second start may have a port of its own
			i := serveOn(t, url, keyFile)
			origin := strings.TrimSuffix(i.url, "/api")
			_, text := i.do(t, "GET", "/articles?limit=100", "", "")
			var list struct {
				Articles []struct{ Author struct{ Image *string } }
			}
			if err := json.Unmarshal([]byte(text), &list); err != nil {
				t.Fatal(err)
			}
			pictures := map[string]bool{}
			for _, article := range list.Articles {
				if image := article.Author.Image; image != nil {
					pictures[*image] = true
				}
			}
			if len(pictures) < 10 {
				t.Errorf("only %d pictures", len(pictures))
			}
			for picture := range pictures {
				path, here := strings.CutPrefix(picture, origin)
				there := instance{url: origin}
				if !here {
					t.Errorf("%s is not at %s", picture, origin)
				} else if status, _ := there.do(t, "GET", path, "", ""); status != http.StatusOK {
					t.Errorf("%s: %d", picture, status)
				}
			}
			credentials := `{"user":{"email":"johndoe@example.com","password":"password123"}}`
			_, text = i.do(t, "POST", "/users/login", "", credentials)
			var login struct{ User struct{ Token, Image string } }
			if err := json.Unmarshal([]byte(text), &login); err != nil {
				t.Fatal(err)
			}
			save := `{"user":{"bio":"b","image":"` + login.User.Image + `"}}`
			if status, text := i.do(t, "PUT", "/user", login.User.Token, save); status != http.StatusOK {
				t.Errorf("saving: %d %s", status, text)
			}
			if err := i.stop(); err != nil {
				t.Error(err)
			}
		}
	})
}
