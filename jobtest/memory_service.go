package jobtest

import jobrt "github.com/jobgen/jobgen/runtime"

// service is whom a service belongs to: a module, and the one that it was taken over from, while that is let in too.
type service struct{ module, former string }

// sync returns whom the service belongs to after c, a [jobrt.OwnedError] when c is another module's.
func (s service) sync(c jobrt.Catalog) (service, error) {
	if c.Module == "" {
		return s, nil
	}
	switch s.module {
	case "", c.Module, c.FormerModule:
		return service{c.Module, c.FormerModule}, nil
	}
	if s.former == c.Module {
		return s, nil
	}
	return s, &jobrt.OwnedError{What: "service", Name: c.Service, Owner: s.module}
}
