package worlds

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/oapi-codegen/nullable"

	wire "conduit/api/worlds"
	"conduit/internal/contract"
	"conduit/internal/errs"
)

// faults are what is scripted for the operations of a world.
type faults struct {
	mutex sync.Mutex
	list  []fault
}

type fault struct {
	wire.NewFault
	left int32 // how many more calls meet it; without a meaning unless the script says how many
	met  int64
}

// set replaces the faults, and returns how they are now.
func (f *faults) set(list []wire.NewFault) []wire.Fault {
	f.mutex.Lock()
	f.list = make([]fault, len(list))
	for i, scripted := range list {
		f.list[i] = fault{NewFault: scripted, left: scripted.Times}
	}
	f.mutex.Unlock()
	return f.shown()
}

// meet returns the fault that the next call of an operation meets, if there is one, and counts the call.
func (f *faults) meet(operationID string) (wire.NewFault, bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for i := range f.list {
		found := &f.list[i]
		if found.OperationId != operationID || found.Times > 0 && found.left == 0 {
			continue
		}
		found.met++
		if found.Times > 0 {
			found.left--
		}
		return found.NewFault, true
	}
	return wire.NewFault{}, false
}

func (f *faults) shown() []wire.Fault {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	shown := make([]wire.Fault, len(f.list))
	for i, scripted := range f.list {
		shown[i] = wire.Fault{
			OperationId: scripted.OperationId,
			Status:      given(scripted.Status), Example: given(scripted.Example), Delay: scripted.Delay,
			Broken: given(wire.FaultBroken(scripted.Broken)),
			Times:  nullable.NewNullNullable[int32](), Met: scripted.met,
		}
		if scripted.Times > 0 {
			shown[i].Times = nullable.NewNullableWithValue(scripted.left)
		}
	}
	return shown
}

// given returns a value that may be null: so it is if it was not given.
func given[T comparable](value T) nullable.Nullable[T] {
	if value == *new(T) {
		return nullable.NewNullNullable[T]()
	}
	return nullable.NewNullableWithValue(value)
}

// checkFaults returns what is wrong with a script: operations, statuses and examples that the contract of the API does
// not have, and faults without a meaning. Each field has its first message.
func checkFaults(list []wire.NewFault, answers map[string]map[int][]string) error {
	fields := errs.Fields{}
	add := func(i int, field, message string) {
		if fields[field] == nil {
			fields.Add(field, errs.Item(i)+message)
		}
	}
	for i, fault := range list {
		statuses, known := answers[fault.OperationId]
		examples, documented := statuses[int(fault.Status)]
		switch {
		case !known:
			add(i, "operationId", "is not an operation of the contract")
			continue
		case fault.Status != 0 && !documented:
			add(i, "status", "is not a status of the operation")
		case fault.Example != "" && fault.Status == 0:
			add(i, "example", "is not allowed without status")
		case fault.Example != "" && !slices.Contains(examples, fault.Example):
			add(i, "example", "is not an example of the status")
		}
		switch {
		case fault.Status != 0 && fault.Broken != "":
			add(i, "broken", "is not allowed beside status")
		case fault.Status == 0 && fault.Broken == "" && fault.Delay == 0:
			add(i, "status", errs.Blank)
		}
	}
	return fields.Err()
}

// How long the server waits, after a delay, for the body of a request and for its answer to be taken.
const (
	bodyTime   = 20 * time.Second
	answerTime = 40 * time.Second
)

// script is what a life's calls meet.
func (l *life) script(w http.ResponseWriter, r *http.Request, operationID string) contract.Scripted {
	met, some := l.faults.meet(operationID)
	if !some {
		return contract.Scripted{}
	}
	if delay := time.Duration(met.Delay * float64(time.Second)); delay > 0 {
		control := http.NewResponseController(w)
		// They fail in tests, whose recorders have no deadlines.
		_ = control.SetReadDeadline(time.Now().Add(delay + bodyTime))
		_ = control.SetWriteDeadline(time.Now().Add(delay + answerTime))
		l.turns.without(r.Context(), func() {
			waited := time.NewTimer(delay)
			defer waited.Stop()
			select {
			case <-waited.C:
			case <-r.Context().Done(): // the client has gone, or the world has ended
			}
		})
	}
	return contract.Scripted{Status: int(met.Status), Example: met.Example, Broken: contract.Break(met.Broken)}
}
