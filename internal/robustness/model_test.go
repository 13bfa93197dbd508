package robustness_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// act is what a client has done, and what came of it.
type act struct {
	what     string // one of the constants below
	client   int
	instance int
	user     int
	by       string // the session whose token was sent; of a login: the one that began
	target   string // the session to end, of endOne
	bio      string // written, or shown
	call     int64  // when it began
	back     int64  // when it was answered
	status   int    // 0: no answer
}

const (
	login     = "login"
	use       = "use"
	logout    = "logout"
	endOne    = "end one"
	endOthers = "end others"
	password  = "new password"
	writeBio  = "new bio"
)

// unknown reports whether nobody can say what came of the act: it may take effect at any time after it began.
func (a act) unknown() bool { return a.status == 0 || a.status >= 500 }

func (a act) done() bool { return a.status >= 200 && a.status < 300 }

// ends reports whether the act ends a session if it takes effect.
func (a act) ends(session string, user int) bool {
	switch a.what {
	case logout:
		return a.by == session
	case endOne:
		return a.target == session
	case endOthers, password:
		return a.user == user && a.by != session
	}
	return false
}

func (a act) String() string {
	text := fmt.Sprintf("%9.3f to %9.3f ms: client %2d at %d: user %d: %s by %.6s", float64(a.call)/1e6,
		float64(a.back)/1e6, a.client, a.instance, a.user, a.what, a.by)
	if a.target != "" {
		text += fmt.Sprintf(" of %.6s", a.target)
	}
	if a.bio != "" {
		text += " bio " + a.bio
	}
	return text + fmt.Sprint(": ", a.status)
}

// What a session's history consists of.
const (
	begins   = "begins"
	ends     = "ends"
	accepted = "accepted"
	refused  = "refused"
)

// State of a session in the model.
const (
	unborn = iota
	live
	over
)

// sessionModel is a session as it would be on one machine that does one thing after the other.
var sessionModel = porcupine.Model{
	Init: func() any { return unborn },
	Step: func(state, input, _ any) (bool, any) {
		switch input {
		case begins:
			return state == unborn, live
		case ends:
			if state == live {
				return true, over
			}
			return true, state // the end of all others knows nothing of one that begins later
		case accepted:
			return state == live, state
		case refused:
			return state == over, state
		}
		panic(input)
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
	DescribeState:     func(state any) string { return []string{"unborn", "live", "over"}[state.(int)] },
}

// sessionHistories returns two histories of a session. While it ends, one instance may refuse it when another still
// accepts it, so each history has to be possible for itself: the first has what was accepted, the second what was
// refused.
//
// An end of which nobody knows whether it came asks nothing of the first history. In the second the earliest such end
// may have come at any time, and stands for all.
func sessionHistories(acts []act, session string, user int) (acceptances, refusals []porcupine.Operation) {
	op := func(a act, what string) porcupine.Operation {
		return porcupine.Operation{ClientId: a.client, Input: what, Call: a.call, Return: a.back, Metadata: a.String()}
	}
	perhaps := act{call: math.MaxInt64}
	for _, a := range acts {
		both := func(what string) {
			acceptances, refusals = append(acceptances, op(a, what)), append(refusals, op(a, what))
		}
		switch ending := a.ends(session, user); {
		case a.what == login:
			if a.by == session && a.done() {
				both(begins)
			}
		case ending && a.done():
			both(ends)
		case ending && a.unknown():
			if a.call < perhaps.call {
				perhaps = a
			}
		case a.target == session && a.status == 404: // somebody has ended it
			acceptances, refusals = append(acceptances, op(a, ends)), append(refusals, op(a, refused))
		case a.by != session:
		case a.done():
			acceptances = append(acceptances, op(a, accepted))
		case a.status == 401:
			refusals = append(refusals, op(a, refused))
		}
	}
	if perhaps.call < math.MaxInt64 {
		maybe := op(perhaps, ends)
		maybe.Return = math.MaxInt64
		refusals = append(refusals, maybe)
	}
	return acceptances, refusals
}

// shown and written are what a bio's history consists of.
type (
	shown   string
	written string
)

// bioModel is a bio as it would be on one machine. An instance may show the old one while a change is under way, so
// each reading is held to the changes alone, not to other readings.
var bioModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		switch value := input.(type) {
		case shown:
			return state == string(value), state
		case written:
			return true, string(value)
		}
		panic(input)
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%T %v", input, input) },
}

// bioHistories returns a history for each time that somebody's bio was shown.
func bioHistories(acts []act, user int) (histories [][]porcupine.Operation) {
	var changes []act
	for _, a := range acts {
		if a.user == user && a.what == writeBio && (a.done() || a.unknown()) {
			changes = append(changes, a)
		}
	}
	for _, a := range acts {
		if a.user != user || a.what != use || !a.done() {
			continue
		}
		history := []porcupine.Operation{{ClientId: a.client, Input: shown(a.bio), Call: a.call, Return: a.back,
			Metadata: a.String()}}
		for _, change := range changes {
			if change.call > a.back || change.unknown() && change.bio != a.bio {
				continue
			}
			until := change.back
			if change.unknown() {
				until = math.MaxInt64
			}
			history = append(history, porcupine.Operation{ClientId: change.client, Input: written(change.bio),
				Call: change.call, Return: until, Metadata: change.String()})
		}
		histories = append(histories, history)
	}
	return histories
}

// finding is a history that no single machine could have.
type finding struct {
	what    string
	model   porcupine.Model
	info    porcupine.LinearizationInfo
	history []porcupine.Operation
}

func (f finding) String() string {
	lines := []string{f.what}
	for _, op := range f.history {
		lines = append(lines, fmt.Sprintf("%-10v %v", op.Input, op.Metadata))
	}
	return strings.Join(lines, "\n\t")
}

// judge returns what is wrong with a history, and how many histories of one session or of one bio it has checked.
func judge(acts []act) (found []finding, checked int) {
	check := func(what string, model porcupine.Model, history []porcupine.Operation) {
		checked++
		result, info := porcupine.CheckOperationsVerbose(model, history, 10*time.Second)
		if result != porcupine.Ok {
			found = append(found, finding{fmt.Sprintf("%s: %v", what, result), model, info, history})
		}
	}
	users := map[int]bool{}
	for _, a := range acts {
		if a.what == login && a.done() {
			users[a.user] = true
			acceptances, refusals := sessionHistories(acts, a.by, a.user)
			check("accepted after the end of the session was answered", sessionModel, acceptances)
			check("refused without an end of the session", sessionModel, refusals)
		}
	}
	for user := range users {
		for _, history := range bioHistories(acts, user) {
			check("a bio that was replaced, or never written", bioModel, history)
		}
	}
	return found, checked
}

// TestModel: the model tells possible histories from impossible ones.
func TestModel(t *testing.T) {
	t.Parallel()
	began := act{what: login, by: "a", call: 0, back: 1, status: 200}
	ended := act{what: logout, by: "a", call: 10, back: 20, status: 204}
	lost := act{what: logout, by: "a", call: 10, back: 20}
	change := act{what: writeBio, by: "a", bio: "1", call: 10, back: 20, status: 200}
	second := act{what: writeBio, by: "a", bio: "2", call: 30, back: 40, status: 200}
	used := func(call, back int64, status int, bio string) act {
		return act{what: use, by: "a", bio: bio, call: call, back: back, status: status}
	}
	for name, test := range map[string]struct {
		acts []act
		want bool
	}{
		"accepted before the end": {[]act{began, ended, used(5, 6, 200, "")}, true},
		"accepted during the end": {[]act{began, ended, used(15, 16, 200, "")}, true},
		"refused during the end, then accepted": {[]act{began, ended, used(12, 13, 401, ""),
			used(15, 16, 200, "")}, true},
		"accepted after the end":                  {[]act{began, ended, used(21, 22, 200, "")}, false},
		"begun before the answer, accepted after": {[]act{began, ended, used(19, 22, 200, "")}, true},
		"refused before the end":                  {[]act{began, ended, used(5, 6, 401, "")}, false},
		"refused without an end":                  {[]act{began, used(5, 6, 401, "")}, false},
		"refused after an end without an answer":  {[]act{began, lost, used(50, 60, 401, "")}, true},
		"accepted after an end without an answer": {[]act{began, lost, used(50, 60, 200, "")}, true},
		"others ended, accepted": {[]act{began, {what: endOthers, by: "b", call: 5, back: 6, status: 204},
			used(7, 8, 200, "")}, false},
		"others ended before it began": {[]act{{what: endOthers, by: "b", call: -2, back: -1, status: 204}, began,
			used(7, 8, 200, "")}, true},
		"accepted after somebody was told that it is gone": {[]act{began, lost,
			{what: endOne, by: "b", target: "a", call: 21, back: 22, status: 404}, used(25, 26, 200, "")}, false},
		"gone without an end": {[]act{began,
			{what: endOne, by: "b", target: "a", call: 21, back: 22, status: 404}}, false},
		"old bio during the change, also after the new one": {[]act{began, change, used(12, 13, 200, "1"),
			used(15, 16, 200, "")}, true},
		"old bio after the change": {[]act{began, change, used(21, 22, 200, "")}, false},
		"bio that was replaced":    {[]act{began, change, second, used(41, 42, 200, "1")}, false},
		"bio of nobody":            {[]act{began, change, used(41, 42, 200, "2")}, false},
		"bio of a change without an answer, late": {[]act{began,
			{what: writeBio, by: "a", bio: "1", call: 10, back: 20}, second, used(41, 42, 200, "1")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found, _ := judge(test.acts); (len(found) == 0) != test.want {
				t.Errorf("possible: %t, want %t; %v", len(found) == 0, test.want, found)
			}
		})
	}
}
