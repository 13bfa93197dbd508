package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"conduit/internal/identity"
)

// How often a client may do something that is counted, and how often it still may (the IETF's
// draft-ietf-httpapi-ratelimit-headers).
const (
	policyHeader = "RateLimit-Policy"
	limitHeader  = "RateLimit"
)

// showLimits adds the limits that a request has come upon to its answer. They are lists of structured fields (RFC
// 9651).
func showLimits(header http.Header, limits []identity.Limit) {
	if len(limits) == 0 {
		return
	}
	var policies, left []string
	for _, limit := range limits {
		policies = append(policies, fmt.Sprintf("%q;q=%d;w=%s", limit.Name, limit.Quota, seconds(limit.Window)))
		left = append(left, fmt.Sprintf("%q;r=%d;t=%s", limit.Name, limit.Remaining, seconds(limit.Reset)))
	}
	header.Set(policyHeader, strings.Join(policies, ", "))
	header.Set(limitHeader, strings.Join(left, ", "))
}
