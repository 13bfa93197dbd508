package worlds_test

import (
	"net/http"
	"testing"
	"time"
)

func TestWorldIsAServerOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t, 4)
	began := time.Now()
	one := s.make(`{"seed":7,"at":"2026-01-02T12:00:00.000Z","demo":true}`)
	t.Log("made in", time.Since(began))
	began = time.Now()
	s.make(`{"seed":7,"at":"2026-01-02T12:00:00.000Z","demo":true}`)
	t.Log("made in", time.Since(began))
	began = time.Now()
	s.make(`{"seed":8}`)
	t.Log("made in", time.Since(began))
	began = time.Now()
	s.want(http.StatusOK, http.MethodPost, "/worlds/"+one.ID+"/reset", "", "")
	t.Log("reset in", time.Since(began))
	token := s.login(one)
	s.want(http.StatusOK, http.MethodGet, one.BaseURL+"/user", token, "")
}
