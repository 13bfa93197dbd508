package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"conduit/internal/identity"
)

// joined is when the first account of demo content was made; each further one a minute after the one before.
var joined = newest.AddDate(-1, 0, 0)

// picture is where browsers find the picture of the i-th demo account.
func picture(publicURL string, i int) string { return publicURL + place(i) }

func place(i int) string { return fmt.Sprintf("/avatars/%d.svg", i+1) }

// Gallery has the pictures of accounts.
type Gallery interface {
	// UsersAfter returns users by their ids, which are above one.
	UsersAfter(ctx context.Context, id int64, limit int) ([]identity.User, error)
	// ReplaceImages changes images, each unless it has changed meanwhile.
	ReplaceImages(ctx context.Context, changes []identity.ImageChange) error
}

// atATime is how many accounts one change is about: few enough for the time that a store gives it on a busy machine.
const atATime = 100

// MovePictures has demo accounts show pictures of the server at publicURL, and returns how many did not. An image is an
// absolute URL, which front ends send back with every save of a settings page: so it is stored as one, and points to
// the former place when the server has moved, as to another port. What somebody chose instead stays.
func MovePictures(ctx context.Context, gallery Gallery, publicURL string) (moved int, err error) {
	for last := int64(0); ; {
		users, err := gallery.UsersAfter(ctx, last, atATime)
		if err != nil {
			return moved, err
		}
		var changes []identity.ImageChange
		some := false
		for _, user := range users {
			last = user.ID
			i, demo := number(user)
			some = some || demo
			if !demo || user.Image == nil || !strings.HasSuffix(*user.Image, place(i)) {
				continue
			}
			if to := picture(publicURL, i); *user.Image != to {
				changes = append(changes, identity.ImageChange{UserID: user.ID, From: *user.Image, To: to})
			}
		}
		if len(changes) > 0 {
			if err := gallery.ReplaceImages(ctx, changes); err != nil {
				return moved, err
			}
			moved += len(changes)
		}
		if !some { // demo content fills empty databases only, so that its accounts are the first
			return moved, nil
		}
	}
}

// number tells a demo account, whatever has become of its name, by the moment when it was made.
func number(user identity.User) (i int, demo bool) {
	since := user.CreatedAt.Sub(joined)
	return int(since / time.Minute), since >= 0 && since%time.Minute == 0
}
