// Command bench measures what Conduit costs: how many requests a second it answers, how long they take, how much memory
// it takes, and whether a page costs the same however many articles there are. `make bench` runs it.
//
// What counts is the ratio to bare, a net/http server which answers GET /api/user with fixed bytes: about the most that
// a server in Go can do with this load, on this machine, at this moment. Absolute numbers are those of one machine and
// its neighbours. To keep the neighbours out of the ratios too, all cases run in one go, in short slices which take
// turns, and each slice is compared with the others of the same round. Medians over the rounds are reported.
//
// Load and servers share the machine, so the load must be cheap: see load.go. PostgreSQL is a throw-away server which
// does not wait for the disk, unless CONDUIT_TEST_POSTGRES names another; that matters for writes, not for reads.
//
// The program knows Conduit from outside only, as a binary that speaks HTTP. To add a case add a row in users.go or
// articles.go.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if slices.Equal(os.Args[1:], []string{bareArgument}) {
		err = serveBare(ctx, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type settings struct {
	connections int
	duration    time.Duration
	rounds      int
	articles    int
	only        string
}

func run(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&s.connections, "connections", 32, "how many `clients` there are, except where passwords are hashed")
	flags.DurationVar(&s.duration, "duration", 300*time.Millisecond, "how long a slice is")
	flags.IntVar(&s.rounds, "rounds", 5, "how many slices each case gets")
	flags.IntVar(&s.articles, "articles", 100_000,
		fmt.Sprintf("how many articles the large databases have; the small ones have %d", few))
	flags.StringVar(&s.only, "only", "", "measure, beside the bare server, only cases with this `text` "+
		"in \"NAME, DATABASE, NUMBER articles\"")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || s.connections < 1 || s.rounds < 1 || s.duration <= 0 || s.articles <= few {
		return fmt.Errorf("want no arguments, flags above zero, and more than %d articles", few)
	}
	cases := slices.DeleteFunc(allCases(s.articles), func(c *benchCase) bool {
		return c.site != bare && !strings.Contains(c.String(), s.only)
	})
	running, err := startServers(ctx, cases, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.stop()) }()
	// First, while no more than one password has been hashed at a time: a peak never goes down again.
	var rushes bytes.Buffer
	var reading, changing []*benchCase
	for _, c := range cases {
		switch {
		case c.rush:
			if err := measureRush(ctx, c, running.bySite[c.site], &rushes); err != nil {
				return err
			}
		case c.changes:
			changing = append(changing, c)
		default:
			reading = append(reading, c)
		}
	}
	if err := measure(ctx, s, reading, running, progress); err != nil {
		return err
	}
	if err := measure(ctx, s, append(reading[:1:1], changing...), running, progress); err != nil {
		return err
	}
	printTable(stdout, slices.Concat(reading, changing))
	_, _ = rushes.WriteTo(stdout)
	printServers(stdout, running)
	fmt.Fprintf(stdout, "%d CPUs, %s, PostgreSQL %s; %d rounds of %v\n",
		runtime.NumCPU(), runtime.Version(), running.postgresVersion, s.rounds, s.duration)
	return nil
}
