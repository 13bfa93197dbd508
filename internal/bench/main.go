// Command bench measures what Conduit costs: how many requests a second it answers, how long they take, and how much memory
// a rush of logins takes. `make bench` runs it.
//
// What counts is the ratio to bare, a net/http server which answers GET /api/user with fixed bytes: about the most that a
// server in Go can do with this load, on this machine, at this moment. Absolute numbers are those of one machine and its
// neighbours. To keep the neighbours out of the ratios too, all cases run in one go, in short slices which take turns, and each
// slice is compared with the bare server's of the same round. Medians over the rounds are reported.
//
// Load and servers share the machine, so the load must be cheap: see load.go. PostgreSQL is a throw-away server which does not
// wait for the disk, unless CONDUIT_TEST_POSTGRES names another; that matters for writes, not for reads.
//
// The program knows Conduit from outside only, as a binary that speaks HTTP. To add a case add a row in cases.go.
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
	"text/tabwriter"
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
	only        string
}

func run(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&s.connections, "connections", 32, "how many `clients` there are, except where passwords are hashed")
	flags.DurationVar(&s.duration, "duration", 700*time.Millisecond, "how long a slice is")
	flags.IntVar(&s.rounds, "rounds", 9, "how many slices each case gets")
	flags.StringVar(&s.only, "only", "", "measure, beside the bare server, only cases with this `text` in \"NAME, DATABASE\"")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || s.connections < 1 || s.rounds < 1 || s.duration <= 0 {
		return errors.New("want no arguments, and flags above zero")
	}
	var sliced, rushes []*benchCase
	for _, c := range cases {
		switch {
		case c.server != bare && !strings.Contains(c.String(), s.only):
		case c.rush:
			rushes = append(rushes, &c)
		default:
			sliced = append(sliced, &c)
		}
	}

	running, err := startServers(ctx, append(slices.Clone(sliced), rushes...), progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, running.stop()) }()
	// First, while no more than one password has been hashed at a time: a peak never goes down again.
	var memory bytes.Buffer
	for _, c := range rushes {
		if err := measureRush(ctx, c, running.byName[c.server], &memory); err != nil {
			return err
		}
	}
	if err := measure(ctx, s, sliced, running, progress); err != nil {
		return err
	}
	printTable(stdout, sliced)
	_, _ = memory.WriteTo(stdout)
	fmt.Fprintf(stdout, "%d CPUs, %s, PostgreSQL %s; %d rounds of %v\n",
		runtime.NumCPU(), runtime.Version(), running.postgresVersion, s.rounds, s.duration)
	return nil
}

// slice is what came out of one turn of a case.
type slice struct{ rate, ratio, p50, p99 float64 }

// measure gives each case its slices. The order changes from round to round, lest a case always suffer from what the one
// before it left to be done: garbage, a write-ahead log, a hot CPU.
func measure(ctx context.Context, s settings, cases []*benchCase, running *servers, progress io.Writer) error {
	reference, order := cases[0], slices.Clone(cases)
	for round := range s.rounds + 1 {
		duration := s.duration
		if round == 0 {
			duration /= 2 // to warm up; not reported
		}
		fmt.Fprintf(progress, "round %d of %d\n", round, s.rounds)
		results := make(map[*benchCase]slice, len(order))
		for _, c := range order {
			answers, err := c.load(ctx, running.byName[c.server], s.connections, duration)
			if err == nil && answers.refusal != "" {
				err = fmt.Errorf("not all answers were a success: %s; one was %s", answers.statusList(), answers.refusal)
			}
			if err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
			results[c] = slice{rate: float64(len(answers.took)) / answers.elapsed.Seconds(), p50: answers.percentile(50), p99: answers.percentile(99)}
		}
		for c, result := range results {
			if result.ratio = result.rate / results[reference].rate; round > 0 {
				c.slices = append(c.slices, result)
			}
		}
		order = append(order[1:], order[0])
		slices.Reverse(order)
	}
	return nil
}

func printTable(stdout io.Writer, cases []*benchCase) {
	table := tabwriter.NewWriter(stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "case\tdatabase\trequests/s\tratio to bare (lowest, highest)\tp50\tp99")
	for _, c := range cases {
		_, rate, _ := spread(c.slices, func(s slice) float64 { return s.rate })
		lowest, ratio, highest := spread(c.slices, func(s slice) float64 { return s.ratio })
		_, p50, _ := spread(c.slices, func(s slice) float64 { return s.p50 })
		_, p99, _ := spread(c.slices, func(s slice) float64 { return s.p99 })
		fmt.Fprintf(table, "%s\t%s\t%.0f\t%.2g (%.2g, %.2g)\t%.2f ms\t%.2f ms\n", c.name, c.server, rate, ratio, lowest, highest, p50, p99)
	}
	table.Flush()
}

// spread gives the median of a number over the slices, between its extremes.
func spread(all []slice, number func(slice) float64) (lowest, median, highest float64) {
	var numbers []float64
	for _, s := range all {
		numbers = append(numbers, number(s))
	}
	slices.Sort(numbers)
	n := len(numbers)
	return numbers[0], (numbers[(n-1)/2] + numbers[n/2]) / 2, numbers[n-1]
}

// measureRush runs a case in which everybody comes at once. To refuse some of them with 503 is what a server should do that
// cannot serve all in time, so it is reported and is no failure.
func measureRush(ctx context.Context, c *benchCase, s *server, report io.Writer) error {
	before := s.peakMemory()
	answers, err := c.load(ctx, s, 0, 0)
	if err != nil {
		return fmt.Errorf("%v: %w", c, err)
	}
	fmt.Fprintf(report, "%v: %s, the slowest after %.0f ms; peak memory of the server: %s before, %s after\n",
		c, answers.statusList(), answers.percentile(100), before, s.peakMemory())
	return nil
}
