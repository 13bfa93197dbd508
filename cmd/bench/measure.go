package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// slice is what came out of one turn of a case.
type slice struct{ rate, ratio, p50, p99 float64 }

// measure returns each case its slices, the first being the one with which the others are compared. The order changes
// from round to round, lest a case always suffer from what the one before it left to be done: garbage, a write-ahead
// log, a hot CPU.
func measure(ctx context.Context, s settings, cases []*benchCase, running *servers, progress io.Writer) error {
	if len(cases) == 1 && len(cases[0].slices) > 0 {
		return nil // it is in another call's cases too
	}
	reference, order := cases[0], slices.Clone(cases)
	for round := range s.rounds + 1 {
		duration := s.duration
		if round == 0 {
			duration /= 2 // to warm up; not reported
		}
		fmt.Fprintf(progress, "%d cases, round %d of %d\n", len(cases), round, s.rounds)
		results := make(map[*benchCase]slice, len(order))
		for _, c := range order {
			answers, err := c.load(ctx, running.bySite[c.site], s.connections, duration)
			if err == nil && answers.refusal != "" {
				err = fmt.Errorf("not all answers succeeded: %s; one was %s", answers.statusList(), answers.refusal)
			}
			if err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
			results[c] = slice{rate: float64(len(answers.took)) / answers.elapsed.Seconds(),
				p50: answers.percentile(50), p99: answers.percentile(99)}
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
	const heads = "case\tdatabase\trequests/s\tratio to bare (lowest, highest)\tp50\tp99\tp50 to that of %d\n"
	fmt.Fprintf(table, heads, few)
	for _, c := range cases {
		_, rate, _ := spread(c.slices, func(s slice) float64 { return s.rate })
		lowest, ratio, highest := spread(c.slices, func(s slice) float64 { return s.ratio })
		_, p50, _ := spread(c.slices, func(s slice) float64 { return s.p50 })
		_, p99, _ := spread(c.slices, func(s slice) float64 { return s.p99 })
		fmt.Fprintf(table, "%s\t%v\t%.0f\t%.2g (%.2g, %.2g)\t%.2f ms\t%.2f ms\t%s\n",
			c.name, c.site, rate, ratio, lowest, highest, p50, p99, c.growth(cases))
	}
	table.Flush()
}

// growth returns by what factor the case is slower than with few articles, or "" where that is not known.
func (c *benchCase) growth(cases []*benchCase) string {
	for _, small := range cases {
		if small.name == c.name && small.site == (site{c.site.database, few}) && small != c {
			times := make([]slice, len(c.slices))
			for round, s := range c.slices {
				times[round].ratio = s.p50 / small.slices[round].p50
			}
			_, median, _ := spread(times, func(s slice) float64 { return s.ratio })
			return fmt.Sprintf("%.2f", median)
		}
	}
	return ""
}

// printServers prints how much memory the servers took. A server with SQLite is the database too; PostgreSQL's memory
// is not counted.
func printServers(stdout io.Writer, running *servers) {
	for _, where := range running.order {
		one := running.bySite[where]
		fmt.Fprintf(stdout, "%v: peak memory of the server %s", where, one.peakMemory())
		if one.filling > 0 {
			fmt.Fprintf(stdout, "; articles made in %.1f s", one.filling.Seconds())
		}
		fmt.Fprintln(stdout)
	}
}

// thousands writes a number as people do.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// spread returns the median of a number over the slices, between its extremes.
func spread(all []slice, number func(slice) float64) (lowest, median, highest float64) {
	var numbers []float64
	for _, s := range all {
		numbers = append(numbers, number(s))
	}
	slices.Sort(numbers)
	n := len(numbers)
	return numbers[0], (numbers[(n-1)/2] + numbers[n/2]) / 2, numbers[n-1]
}

// measureRush runs a case in which everybody comes at once. To refuse some of them with 503 is what a server should do
// that cannot serve all in time, so it is reported and is no failure.
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
