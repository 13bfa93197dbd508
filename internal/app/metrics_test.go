package app

import "testing"

func TestMetricsHostPort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"9090": "127.0.0.1:9090", ":9090": "127.0.0.1:9090", "0.0.0.0:9090": "0.0.0.0:9090", "[::]:9090": "[::]:9090",
		"localhost:0": "localhost:0", "": "", ":": "", "localhost:": "", "::1": "",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			if got, err := metricsHostPort(text); got != want || (err == nil) != (want != "") {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
}
