package main

import (
	"path/filepath"
	"strings"
	"testing"

	"conduit/internal/store/storetest"
)

// TestDemoPicturesAfterAMove: when the server has moved to another port, all pictures that the API names are there.
// They still are after a settings page has sent an image back unchanged.
func TestDemoPicturesAfterAMove(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		keyFile := filepath.Join(t.TempDir(), "conduit.key")
		shell{"CONDUIT_DATABASE": url}.run(t, "seed --public-url=http://127.0.0.1:1")
		for range 2 { // seed had another URL, and the second start may have a port of its own
			i := serveOn(t, url, keyFile)
			list := into[struct {
				Articles []struct{ Author struct{ Image *string } }
			}](t, i.want(t, 200, "GET /articles?limit=100", ""))
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
				path, here := strings.CutPrefix(picture, i.origin())
				if !here {
					t.Errorf("%s is not at %s", picture, i.origin())
					continue
				}
				i.outside().want(t, 200, "GET "+path, "")
			}
			login := into[struct{ User struct{ Token, Image string } }](t, i.want(t, 200, "POST /users/login", "",
				`{"user":{"email":"johndoe@example.com","password":"password123"}}`)).User
			i.want(t, 200, "PUT /user", login.Token, `{"user":{"bio":"b","image":"`+login.Image+`"}}`)
			i.stop(t)
		}
	})
}
