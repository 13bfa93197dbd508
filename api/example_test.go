package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oapi-codegen/nullable"

	"conduit/api"
)

// server is where the examples find a running server: its base URL, with /api. Yours is another.
var server string

// TestMain starts the program itself, with demo content, so that the examples show what a client meets.
func TestMain(m *testing.M) {
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (code int, err error) {
	folder, err := os.MkdirTemp("", "conduit-example-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	program := filepath.Join(folder, "conduit")
	if output, err := exec.Command("go", "build", "-o", program, "conduit/cmd/conduit").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go build: %w\n%s", err, output)
	}
	command := exec.Command(program, "serve", "--listen=127.0.0.1:0", "--database=sqlite::memory:", "--seed=1",
		"--check-responses", "--log-level=warn")
	command.Dir, command.Stderr = folder, os.Stderr
	// The program's own defaults, not the settings of whoever runs this.
	ours := func(variable string) bool { return strings.HasPrefix(variable, "CONDUIT_") }
	command.Env = slices.DeleteFunc(os.Environ(), ours)
	output, err := command.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := command.Start(); err != nil {
		return 1, err
	}
	defer func() {
		err = errors.Join(err, command.Process.Kill()) // in memory: nothing is lost
		_ = command.Wait()                             // "killed"
	}()
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if _, url, found := strings.Cut(lines.Text(), "API       "); found {
			server = url
			return run(), checked(strings.TrimSuffix(url, "/api"))
		}
	}
	return 1, errors.New("conduit serve did not start")
}

// checked fails if any answer so far broke the contract.
func checked(origin string) error {
	response, err := http.Get(origin + "/healthz")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && !strings.Contains(string(text), `"violations":0`) {
		err = fmt.Errorf("answers broke the contract: %s", text)
	}
	return err
}

// Reading needs no token. Answers have a field for each status that the contract documents; the others are nil.
func Example() {
	ctx := context.Background()
	client, err := api.NewClientWithResponses(server)
	if err != nil {
		fmt.Println(err)
		return
	}
	query := &api.GetArticlesParams{Author: new("johndoe"), Limit: new(int32(2))}
	page, err := client.GetArticlesWithResponse(ctx, query)
	if err != nil {
		fmt.Println(err) // no answer came
		return
	}
	if page.JSON200 == nil {
		fmt.Println(page.Status(), string(page.Body))
		return
	}
	for _, article := range page.JSON200.Articles {
		fmt.Println(article.Author.Username, time.Time(article.CreatedAt).Format(time.DateOnly), article.Title)
	}

	missing, err := client.GetArticleWithResponse(ctx, "no-such-article")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(missing.Status(), missing.JSON404.Errors)
	// Output:
	// johndoe 2026-01-01 Rate-limit day by default
	// johndoe 2026-01-01 Eventually, the year pounce speedily
	// 404 Not Found map[article:[not found]]
}

// A token goes into the Authorization header of every request, by an editor. Members that may be null say whether they
// are.
func ExampleWithRequestEditorFn() {
	ctx := context.Background()
	token := ""
	client, err := api.NewClientWithResponses(server,
		api.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
			if token != "" {
				request.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	credentials := api.LoginUserInput{Email: "johndoe@example.com", Password: "password123"}
	login, err := client.LoginWithResponse(ctx, api.LoginUserRequest{User: credentials})
	if err != nil || login.JSON200 == nil {
		fmt.Println("not logged in:", err)
		return
	}
	token = login.JSON200.User.Token

	changed, err := client.UpdateCurrentUserWithResponse(ctx, api.UpdateUserRequest{User: api.UpdateUserInput{
		Bio: nullable.NewNullableWithValue("I like to skateboard"), // set
		// cleared; a member that is left out stays as it is
		Image: nullable.NewNullNullable[string](),
	}})
	if err != nil || changed.JSON200 == nil {
		fmt.Println("not changed:", err)
		return
	}
	user := changed.JSON200.User
	fmt.Printf("%s: %q, has an image: %t\n", user.Username, user.Bio.MustGet(), !user.Image.IsNull())

	refused, err := client.UpdateCurrentUserWithResponse(ctx, api.UpdateUserRequest{User: api.UpdateUserInput{
		Email: "nobody", Password: new("short"),
	}})
	if err != nil || refused.JSON422 == nil {
		fmt.Println("not refused:", err)
		return
	}
	for _, field := range []string{"email", "password"} {
		fmt.Println(field, refused.JSON422.Errors[field][0])
	}
	// Output:
	// johndoe: "I like to skateboard", has an image: false
	// email is not a valid email
	// password is too short (minimum is 8 characters)
}
