package httpapi

import (
	"cmp"
	"net/http"

	"conduit/internal/contract"
	"conduit/internal/transport"
)

// Beside returns a handler for what a server answers beside the API, by another contract or by none. It has the layers
// of the server around it, and the host by which it answers in the same way. Of the config it takes what concerns the
// way of requests.
func Beside(config Config, mount func(contract.Host) http.Handler) http.Handler {
	handler := mount(&host{config: config, pace: transport.Pace{
		Time: cmp.Or(config.BodyTime, bodyTime), Rate: cmp.Or(config.BodyRate, bodyRate),
	}, answers: &contract.Counts{}})
	return layered(handler, config,
		transport.NewMemory(cmp.Or(config.BodyMemory, bodyMemory), config.Now),
		transport.NewMemory(cmp.Or(config.AnswerMemory, answerMemory), config.Now))
}

// layered puts around a handler what every request passes.
func layered(handler http.Handler, config Config, bodies, answers *transport.Memory) http.Handler {
	handler = compressed(charged(handler, config.Log))
	if config.HereOnly {
		handler = hereOnly(handler, config.Log)
	}
	handler = crossOrigin(handler, config.Origins)
	handler = secure(handler)
	handler = bounded(handler, bodies, answers)
	handler = draining(handler, config)
	return observe(handler, config)
}
