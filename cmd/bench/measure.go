package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// slice is what came out of one turn of a case. What is not known is not a number.
type slice struct {
	rate     float64 // requests a second
	p50, p99 float64 // ms
	server   float64 // µs of CPU a request
	database float64 // likewise, of PostgreSQL
	answers  float64 // both, in units of what an answer of the bare server takes in the same round
	queries  float64 // both, in units of what the same answer with one bare query takes in the same round
}

func (s slice) both() float64 { return s.server + s.database }

// measure returns each case its slices, the first being the bare server's. The order changes from round to round, lest
// a case always suffer from what the one before it left to be done: garbage, a write-ahead log, a hot CPU.
func measure(ctx context.Context, s settings, cases []*benchCase, running *servers, progress io.Writer) error {
	reference, order := cases[0], slices.Clone(cases)
	for round := range s.rounds + 1 {
		duration := s.duration
		if round == 0 {
			duration /= 2 // to warm up; not reported
		}
		fmt.Fprintf(progress, "%d cases, round %d of %d\n", len(cases), round, s.rounds)
		results := make(map[*benchCase]slice, len(order))
		for _, c := range order {
			result, err := c.measure(ctx, running, s.connections, duration)
			if err != nil {
				return fmt.Errorf("%v: %w", c, err)
			}
			results[c] = result
		}
		for c, result := range results {
			result.answers = result.both() / results[reference].both()
			result.queries = math.NaN()
			for other, same := range results {
				if other.site == bareQuery && other.name == c.name {
					result.queries = result.both() / same.both()
				}
			}
			if round > 0 && (c != reference || len(c.slices) < s.rounds) { // it is in several calls' cases
				c.slices = append(c.slices, result)
			}
		}
		order = append(order[1:], order[0])
		slices.Reverse(order)
	}
	return nil
}

func (c *benchCase) measure(
	ctx context.Context, running *servers, connections int, duration time.Duration,
) (result slice, err error) {
	one := running.bySite[c.site]
	pid := one.process.Process.Pid
	database, err := running.databaseUsage(ctx)
	if err != nil {
		return slice{}, err
	}
	server := usageOf(pid)
	answers, err := c.load(ctx, one, connections, duration)
	if err == nil && answers.refusal != "" {
		err = fmt.Errorf("not all answers succeeded: %s; one was %s", answers.statusList(), answers.refusal)
	}
	if err != nil {
		return slice{}, err
	}
	count := float64(len(answers.took))
	result = slice{
		rate: count / answers.elapsed.Seconds(), p50: answers.percentile(50), p99: answers.percentile(99),
		server: perRequest(usageOf(pid).since(server), count),
	}
	if c.site.database == postgres || c.site == bareQuery {
		after, err := running.databaseUsage(ctx)
		if err != nil {
			return slice{}, err
		}
		result.database = perRequest(after.since(database), count)
	}
	return result, nil
}

// perRequest returns µs. Where the system does not tell what was taken it is not a number.
func perRequest(taken time.Duration, requests float64) float64 {
	if taken == 0 {
		return math.NaN()
	}
	return float64(taken) / float64(time.Microsecond) / requests
}

// median returns the median of a number over the slices.
func (c *benchCase) median(number func(slice) float64) float64 {
	var numbers []float64
	for _, s := range c.slices {
		numbers = append(numbers, number(s))
	}
	slices.Sort(numbers)
	n := len(numbers)
	return (numbers[(n-1)/2] + numbers[n/2]) / 2
}

// printTable prints a row for each case, server by server.
func printTable(stdout io.Writer, cases []*benchCase) {
	rank := func(c *benchCase) int {
		return slices.Index([]string{bare.database, bareQuery.database, postgres, sqlite}, c.site.database)
	}
	slices.SortStableFunc(cases, func(a, b *benchCase) int { return rank(a) - rank(b) })
	row(stdout, "request", "server", "requests/s", "p50 ms", "p99 ms", "CPU server µs", "CPU database µs", "statements",
		"round trips", "bare answers", "bare queries")
	rule(stdout, 2, 9)
	for _, c := range cases {
		database, count, trips := "", "", ""
		if c.site.database == postgres || c.site == bareQuery {
			database = number(c.median(func(s slice) float64 { return s.database }), 0)
		}
		if c.site.database == postgres {
			count, trips = number(c.statements.count, 1), number(c.statements.trips, 1)
		}
		row(stdout, c.name, c.site.database, number(c.median(func(s slice) float64 { return s.rate }), 0),
			number(c.median(func(s slice) float64 { return s.p50 }), 2),
			number(c.median(func(s slice) float64 { return s.p99 }), 2),
			number(c.median(func(s slice) float64 { return s.server }), 0), database, count, trips,
			number(c.median(func(s slice) float64 { return s.answers }), 1),
			number(c.median(func(s slice) float64 { return s.queries }), 2))
	}
}

// printGrowth prints what each case costs with many articles, beside what it costs with few.
func printGrowth(stdout io.Writer, cases []*benchCase, many int) {
	row(stdout, "request", "database", "p50 ms, "+thousands(few), "p50 ms, "+thousands(many), "CPU µs, "+thousands(few),
		"CPU µs, "+thousands(many), "p50, times", "CPU, times")
	rule(stdout, 2, 6)
	for _, c := range cases {
		small := slices.IndexFunc(cases, func(other *benchCase) bool {
			return other.name == c.name && other.site == site{c.site.database, few}
		})
		if c.site.articles != many || small < 0 {
			continue
		}
		p50, cpu := func(s slice) float64 { return s.p50 }, slice.both
		before := cases[small]
		row(stdout, c.name, c.site.database, number(before.median(p50), 2), number(c.median(p50), 2),
			number(before.median(cpu), 0), number(c.median(cpu), 0),
			number(c.median(p50)/before.median(p50), 2), number(c.median(cpu)/before.median(cpu), 2))
	}
}

// row prints a row of a table in Markdown.
func row(stdout io.Writer, cells ...string) {
	fmt.Fprintf(stdout, "| %s |\n", strings.Join(cells, " | "))
}

// rule prints what stands below a table's heads: columns of words, and then columns of numbers.
func rule(stdout io.Writer, words, numbers int) {
	fmt.Fprintf(stdout, "|%s%s\n", strings.Repeat(" --- |", words), strings.Repeat(" ---: |", numbers))
}

// number writes a number with so many digits behind the point, and nothing for what is not known.
func number(n float64, digits int) string {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return ""
	}
	return strconv.FormatFloat(n, 'f', digits, 64)
}

// thousands writes a number as people do.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
