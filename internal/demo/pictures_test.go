package demo_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"conduit/internal/demo"
	"conduit/internal/identity"
	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestPicturesMove with the server, those of all demo accounts and of nobody else.
func TestPicturesMove(t *testing.T) {
	t.Parallel()
	const people = 1100 // more than are moved at a time
	storetest.Each(t, func(t *testing.T, db *store.Store) {
		ctx := t.Context()
		shown(t, db, demo.Options{
			Users: people, Articles: 1, Seed: 1, PublicURL: "http://here:8080",
		})
		images := func() map[string]string {
			users, err := db.UsersAfter(ctx, 0, 2*people)
			noError(t, err)
			images := map[string]string{}
			for _, user := range users {
				if user.Image != nil {
					images[user.Email] = *user.Image
				}
			}
			return images
		}
		change := func(email string, apply func(*identity.User)) {
			user, err := db.UserByEmail(ctx, identity.Fold(email))
			noError(t, err)
			changing := func(user *identity.User) (identity.Outcome, error) {
				apply(user)
				return identity.Outcome{}, nil
			}
			_, err = db.UpdateUser(ctx, identity.ByOperator(user.ID), changing)
			noError(t, err)
		}
		users, err := db.UsersAfter(ctx, 0, 3)
		noError(t, err)
		chosen := "https://elsewhere.example/avatars/1.svg?mine"
		change("johndoe@example.com", func(john *identity.User) { john.Image = &chosen })
		change(users[1].Email, func(user *identity.User) { user.Username, user.Email = "jake", "jake@example.com" })
		theirs := "http://here:8080/avatars/3.svg"
		stranger := identity.User{
			Username: "jane", Email: "jane@example.com", Image: &theirs,
			CreatedAt: demo.Now, UpdatedAt: demo.Now, Role: identity.RoleUser,
		}
		registered := func(id int64) (identity.Outcome, error) {
			return identity.Outcome{Events: []identity.Event{{
				At: demo.Now, Actor: identity.ActorCLI, Action: identity.Registered, Target: identity.UserTarget(id),
			}}}, nil
		}
		_, err = db.CreateUser(ctx, stranger, identity.Session{}, "", registered)
		noError(t, err)

		want := map[string]string{}
		for email, image := range images() {
			want[email] = strings.Replace(image, "http://here:8080", "https://there.example/blog", 1)
		}
		want["johndoe@example.com"], want["jane@example.com"] = chosen, theirs
		moved, err := demo.MovePictures(ctx, db, "https://there.example/blog")
		if diff := cmp.Diff(want, images()); diff != "" || err != nil || moved != len(want)-2 {
			t.Errorf("moved %d of %d, %v (-want +got):\n%s", moved, len(want), err, diff)
		}
		if want["jake@example.com"] != "https://there.example/blog/avatars/2.svg" {
			t.Error(want["jake@example.com"])
		}
		if moved, err := demo.MovePictures(ctx, db, "https://there.example/blog"); moved != 0 || err != nil {
			t.Errorf("again: %d, %v", moved, err)
		}
		// What somebody chose while it went on is not replaced.
		late := identity.ImageChange{UserID: users[2].ID, From: "what was there", To: "x"}
		noError(t, db.ReplaceImages(ctx, []identity.ImageChange{late}))
		wantSame(t, "images", want, images())
	})
}
