package errs_test

import (
	"errors"
	"fmt"
	"testing"

	"conduit/internal/errs"
)

// TestFound: a refusal has at most a hundred details, and all fields.
func TestFound(t *testing.T) {
	t.Parallel()
	if err := errs.Found(nil); err != nil {
		t.Error(err)
	}
	var details []errs.Detail
	for i := range 200 {
		place := errs.Place{In: errs.InBody, Name: fmt.Sprintf("/list/%d", i)}
		details = append(details, errs.Detail{Field: fmt.Sprint("field ", i/2), Message: fmt.Sprint(i), At: place},
			errs.Detail{Field: fmt.Sprint("field ", i/2), Message: "again", At: place})
	}
	refusal, ok := errors.AsType[*errs.Error](errs.Found(details))
	if !ok || refusal.Kind != errs.KindInvalid || len(refusal.Details) != 100 || len(refusal.Fields) != 100 {
		t.Fatalf("%+v", refusal)
	}
	if last := refusal.Details[99]; last.Message != "99" || refusal.Fields["field 99"][0] != "198" {
		t.Errorf("the last is %+v, and its field says %v", last, refusal.Fields["field 99"])
	}
}
