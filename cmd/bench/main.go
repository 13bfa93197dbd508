// Command bench measures what requests cost: how long they take, how much CPU the server and the database take for one,
// and how many statements are sent. `make bench` runs it, and docs/performance.md shows and explains what it prints.
//
// Times are those of one machine and its neighbours. What counts are units: what an answer of a bare net/http server
// takes, and what the same answer takes there with one pgx query (bare.go). To keep the neighbours out of the units,
// all cases run in one go, in short slices which take turns, and each slice is compared with others of the same round.
// Medians over the rounds are printed.
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
	growth      bool
	worlds      bool
	articles    int
	only        string
	rest        time.Duration
}

func run(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	s := settings{rest: time.Minute}
	quick := false
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.BoolVar(&quick, "quick", false, "take one short slice of each case, to see that all works")
	flags.IntVar(&s.connections, "connections", 8, "how many `clients` there are, except where passwords are hashed")
	flags.DurationVar(&s.duration, "duration", 400*time.Millisecond, "how long a slice is")
	flags.IntVar(&s.rounds, "rounds", 5, "how many slices each case gets")
	flags.BoolVar(&s.growth, "growth", false, "compare databases with few and with many articles instead")
	flags.BoolVar(&s.worlds, "worlds", false, "measure worlds instead: making, resetting, memory, and neighbours")
	flags.IntVar(&s.articles, "articles", 500_000, fmt.Sprintf("how many articles are many; %d are few", few))
	flags.StringVar(&s.only, "only", "", "measure, beside the bare servers, only cases with this `text` "+
		"in \"NAME, DATABASE, NUMBER articles\"")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || s.connections < 1 || s.rounds < 1 || s.duration <= 0 || s.articles <= few {
		return fmt.Errorf("want no arguments, flags above zero, and more than %d articles", few)
	}
	if quick {
		s.rounds, s.duration, s.rest = 1, 100*time.Millisecond, 10*time.Second
	}
	if s.worlds {
		return printWorlds(ctx, stdout, progress, quick)
	}
	cases := tableCases()
	if s.growth {
		cases = growthCases(s.articles)
	}
	cases = slices.DeleteFunc(cases, func(c *benchCase) bool {
		return c.site.articles > 0 && !strings.Contains(c.String(), s.only)
	})
	if !slices.ContainsFunc(cases, func(c *benchCase) bool { return c.site == site{postgres, few} }) {
		cases = slices.DeleteFunc(cases, func(c *benchCase) bool { return c.site == bareQuery }) // it has no database
	}
	running, err := startServers(ctx, cases, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.stop()) }()
	var process bytes.Buffer
	if !s.growth {
		fmt.Fprintln(progress, "measuring start and memory")
		if err := printProcess(ctx, &process, running.conduit, running.folder, s.rest); err != nil {
			return err
		}
	}
	var reading, changing []*benchCase
	for _, c := range cases {
		if c.changes {
			changing = append(changing, c)
		} else {
			reading = append(reading, c)
		}
	}
	if err := measure(ctx, s, reading, running, progress); err != nil {
		return err
	}
	if len(changing) > 0 {
		if err := measure(ctx, s, append(reading[:1:1], changing...), running, progress); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%d CPUs, %s, PostgreSQL %s; %d connections, %d rounds of %v, medians\n\n",
		runtime.NumCPU(), runtime.Version(), running.postgresVersion, s.connections, s.rounds, s.duration)
	if s.growth {
		printGrowth(stdout, cases, s.articles)
		return nil
	}
	fmt.Fprintln(progress, "counting statements")
	if err := running.countStatements(ctx, cases); err != nil {
		return err
	}
	printTable(stdout, slices.Concat(reading, changing))
	fmt.Fprintln(stdout)
	_, _ = process.WriteTo(stdout)
	return nil
}
