package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"conduit/internal/store/storetest"
)

// metered starts a server on a database, and returns also what serves its metrics.
func metered(t *testing.T, url string, flags ...string) (i, beside instance) {
	t.Helper()
	log := &logged{}
	keyFile := filepath.Join(t.TempDir(), "conduit.key")
	i = serveLogging(t, log, url, keyFile, append(flags, "--metrics-listen=127.0.0.1:0")...)
	said := regexp.MustCompile(`serving metrics" url=(\S+)/metrics`).FindStringSubmatch(log.String())
	if said == nil {
		t.Fatal("the log does not say where the metrics are: ", log)
	}
	return i, instance{url: said[1]}
}

// scrape reads the metrics, as text and by name.
func scrape(t *testing.T, beside instance) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	text := beside.want(t, 200, "GET /metrics", "")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	must(t, err)
	return text, families
}

// valueOf is the sum of a counter's or gauge's values, or of a histogram's counts, with these labels among others.
func valueOf(family *dto.MetricFamily, labels map[string]string) (sum float64) {
	for _, metric := range family.GetMetric() {
		found := 0
		for _, label := range metric.GetLabel() {
			if value, asked := labels[label.GetName()]; asked && value == label.GetValue() {
				found++
			}
		}
		if found == len(labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			sum += float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// TestMetrics uses the API and finds that in the figures. They hold nothing that a client has sent.
func TestMetrics(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		i, beside := metered(t, url, "--demo=false", "--check-responses", "--login-attempts=2")
		token := i.register(t, "jake")
		for range 3 {
			i.do(t, "POST /users/login", "", `{"user":{"email":"jake@example.com","password":"wrong password"}}`)
		}
		for n := range 20 {
			i.do(t, fmt.Sprintf("GET /stranger%d", n), "", "")
			i.do(t, fmt.Sprintf("STRANGER%d /articles", n), "", "")
		}
		i.do(t, "GET /articles?tag=strangers", token, "")
		i.do(t, "GET /profiles/strangers-name", token, "")
		i.do(t, "PUT /user", token, `{"user":{"email":"jake@other.example.com"}}`)
		i.do(t, "POST /users/logout", token, "")
		i.do(t, "DELETE /user", i.register(t, "jane"), `{"user":{"password":"jakes secret"}}`)

		text, families := scrape(t, beside)
		type labels = map[string]string
		for _, test := range []struct {
			metric string
			labels labels
			want   float64
		}{
			{"conduit_http_request_duration_seconds", labels{"operation": "createUser", "status": "201"}, 2},
			{"conduit_http_request_duration_seconds", labels{"operation": "login", "status": "401"}, 2},
			{"conduit_http_request_duration_seconds", labels{"operation": "login", "status": "429"}, 1},
			{"conduit_http_request_duration_seconds", labels{"operation": "getArticles", "status": "200"}, 1},
			{"conduit_http_request_duration_seconds", labels{"operation": "other", "status": "404"}, 20},
			{"conduit_http_request_duration_seconds", labels{"operation": "other", "status": "405"}, 20},
			{"conduit_events_total", labels{"action": "registered"}, 2},
			{"conduit_events_total", labels{"action": "email-changed"}, 1},
			{"conduit_events_total", labels{"action": "account-deleted"}, 1},
			{"conduit_events_total", labels{"action": "login-failed"}, 2},
			{"conduit_events_total", labels{"action": "login-throttled"}, 1},
			{"conduit_events_total", labels{"action": "logout"}, 1},
			{"conduit_events_total", labels{"action": "key-made"}, 1},
			{"conduit_password_wait_seconds", labels{"outcome": "turn"}, 5},
			{"conduit_signing_keys", labels{"state": "active"}, 1},
			{"conduit_signing_keys_open", nil, 1},
			{"conduit_contract_violations_total", nil, 0},
			{"conduit_contract_answers_checked_total", nil, 10},
			{"conduit_signing_key_rotation_seconds", nil, 720 * 3600},
			{"conduit_build_info", labels{"version": "dev"}, 1},
		} {
			if got := valueOf(families[test.metric], test.labels); got != test.want {
				t.Errorf("%s %v is %v, want %v", test.metric, test.labels, got, test.want)
			}
		}
		wantNone(t, text, token, "jake", "jane", "example.com", "secret", "wrong", "tranger")
		for _, path := range []string{"/", "/api/tags", "/debug/pprof/"} {
			beside.want(t, 404, "GET "+path, "")
		}
		i.want(t, 404, "GET /../metrics", "")
		i.stop(t)
		if got, err := beside.send(t.Context(), "GET /metrics", "", ""); err == nil {
			t.Error("the metrics outlive the server: ", got)
		}
	})
}

// TestMetricsAreAsDocumented: a server has all metrics that the dashboard asks for, and docs/operations.md lists all
// that are ours.
func TestMetricsAreAsDocumented(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	i, beside := metered(t, url, "--demo=false", "--replicas="+url) // which is none, but has figures all the same
	i.register(t, "jake")
	_, families := scrape(t, beside)
	page := document(t, "operations.md")

	documented := map[string][]string{}
	name := regexp.MustCompile("`([a-z_]+)`")
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `conduit_") {
			var labels []string
			for _, found := range name.FindAllStringSubmatch(cells[2], -1) {
				labels = append(labels, found[1])
			}
			slices.Sort(labels)
			documented[name.FindStringSubmatch(cells[1])[1]] = labels
		}
	}
	labelsOf := func(family *dto.MetricFamily) []string {
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		slices.Sort(labels)
		return labels
	}
	for metric, family := range families {
		labels, ok := documented[metric]
		if strings.HasPrefix(metric, "conduit_") && (!ok || !slices.Equal(labels, labelsOf(family))) {
			t.Errorf("docs/operations.md has no row for %s with the labels %v", metric, labelsOf(family))
		}
	}
	for metric := range documented {
		if families[metric] == nil {
			t.Errorf("docs/operations.md has %s, which the server has not", metric)
		}
	}

	expressions := dashboard(t)
	alerts := regexp.MustCompile("(?s)```promql\n(.*?)```").FindStringSubmatch(page)
	if len(expressions) < 20 || alerts == nil {
		t.Fatalf("%d expressions in the dashboard, and alerts %v", len(expressions), alerts)
	}
	for _, expression := range append(expressions, strings.Split(strings.TrimSpace(alerts[1]), "\n")...) {
		expression = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(expression)
		parsed, err := metricsql.Parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		var known []string // of all metrics in it
		metricsql.VisitAll(parsed, func(part metricsql.Expr) {
			asked, ok := part.(*metricsql.MetricExpr)
			if !ok {
				return
			}
			filters := asked.LabelFilterss[0]
			metric := strings.TrimSuffix(strings.TrimSuffix(filters[0].Value, "_bucket"), "_count")
			family := families[metric]
			if filters[0].Label != "__name__" || family == nil {
				t.Errorf("%s: the server has no metric %s", expression, metric)
				return
			}
			labels := append(labelsOf(family), "instance", "le")
			known = append(known, labels...)
			for _, filter := range filters[1:] {
				if !slices.Contains(labels, filter.Label) {
					t.Errorf("%s: %s has no label %s", expression, metric, filter.Label)
				}
				for word := range strings.SplitSeq(filter.Value, "|") {
					matches := regexp.MustCompile("^(?:" + word + ")$").MatchString
					if filter.Label == "action" && !slices.ContainsFunc(family.GetMetric(), func(m *dto.Metric) bool {
						return matches(m.GetLabel()[0].GetValue())
					}) {
						t.Errorf("%s: there is no action %s", expression, word)
					}
				}
			}
		})
		metricsql.VisitAll(parsed, func(part metricsql.Expr) {
			if sum, ok := part.(*metricsql.AggrFuncExpr); ok {
				for _, label := range sum.Modifier.Args {
					if !slices.Contains(known, label) {
						t.Errorf("%s: it is by %s, which no metric in it has", expression, label)
					}
				}
			}
		})
	}
}

// dashboard returns the expressions of the dashboard's panels.
func dashboard(t *testing.T) (expressions []string) {
	t.Helper()
	board := into[struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}](t, document(t, "grafana/conduit.json"))
	for _, panel := range board.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("the panel %q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	return expressions
}
