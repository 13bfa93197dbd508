package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"conduit/internal/identity"
)

// joined is when the first demo account was made. Each further one was made a minute later.
var joined = newest.AddDate(-1, 0, 0)

// picture returns where browsers find the picture of the i-th demo account.
func picture(publicURL string, i int) string { return publicURL + place(i) }

func place(i int) string { return fmt.Sprintf("/avatars/%d.svg", i+1) }

// Gallery keeps the pictures of accounts.
type Gallery interface {
	// UsersAfter returns users with ids above one, in the order of their ids.
	UsersAfter(ctx context.Context, id int64, limit int) ([]identity.User, error)
	// ReplaceImages changes images, except those that have changed meanwhile.
	ReplaceImages(ctx context.Context, changes []identity.ImageChange) error
}

// atATime is how many accounts one change covers: few enough for the store's timeout on a busy machine.
const atATime = 100

// MovePictures points the pictures of demo accounts to the server at publicURL, and returns how many it changed. An
// image is an absolute URL, and stored as one, since front ends send it back with every save of a settings page. So it
// points to the former place when the server has moved, perhaps to another port. A picture that somebody chose stays.
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

// number returns the number of a demo account. It knows the account by the moment when it was made, since the name may
// have changed.
func number(user identity.User) (i int, demo bool) {
	since := user.CreatedAt.Sub(joined)
	return int(since / time.Minute), since >= 0 && since%time.Minute == 0
}
