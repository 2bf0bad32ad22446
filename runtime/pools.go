package jobrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// NewPools returns a pool for each of the client's databases that keeps one of the queues to serve: those of config, or
// those of the registry when config names none. Without routes it is one pool, that of NewPool. Slots, which are shared
// by queues, cannot be shared by databases: with them and queues of several databases NewPools fails; make a pool for each
// with NewPool(client.ForQueue(queue), …).
func NewPools(client *Client, registry *Registry, config PoolConfig) ([]*Pool, error) {
	if client == nil || registry == nil {
		return nil, errors.New("new pools: nil client or registry")
	}
	served, err := registry.served(&config)
	if err != nil {
		return nil, fmt.Errorf("new pools: %w", err)
	}
	var pools []*Pool
	for _, c := range databasesOf(client, served) {
		part := config
		if config.Slots == 0 {
			part.Queues = nil
			for _, q := range served {
				if client.ForQueue(q.Name) == c {
					part.Queues = append(part.Queues, q)
				}
			}
		}
		p, err := NewPool(c, registry, part)
		if err != nil {
			return nil, err
		}
		pools = append(pools, p)
	}
	return pools, nil
}

// served are the queues that a configuration asks for.
func (r *Registry) served(config *PoolConfig) ([]QueueConfig, error) {
	if config.Slots > 0 {
		var queues []QueueConfig
		for _, name := range config.Order.queues() {
			queues = append(queues, QueueConfig{Name: name})
		}
		return queues, nil
	}
	if len(config.Queues) > 0 {
		return config.Queues, nil
	}
	catalog, err := r.catalog(config.Build)
	if err != nil {
		return nil, err
	}
	var queues []QueueConfig
	for _, q := range catalog.Queues {
		queues = append(queues, QueueConfig{Name: q.Name})
	}
	return queues, nil
}

// databasesOf are the clients of the databases that keep queues, the default one's first. Of none it is the client's own,
// whose pool will say what is wrong.
func databasesOf(client *Client, queues []QueueConfig) []*Client {
	if client.routes == nil {
		return []*Client{client}
	}
	var of []*Client
	for _, c := range client.routes.all {
		if slices.ContainsFunc(queues, func(q QueueConfig) bool { return client.ForQueue(q.Name) == c }) {
			of = append(of, c)
		}
	}
	if len(of) == 0 {
		of = []*Client{client}
	}
	return of
}

// RunPools runs pools until ctx ends, or until one of them fails, which stops the others. It returns the errors of all:
// see [Pool.Run].
func RunPools(ctx context.Context, pools ...*Pool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(pools))
	var running sync.WaitGroup
	for i, p := range pools {
		running.Go(func() {
			if errs[i] = p.Run(ctx); errs[i] != nil {
				stop()
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// CheckRoutes refuses jobs that would be chained across the client's databases by what their types say: a job with its
// continuation by annotation in another database ([RouteError]), and a job that takes a result which, among the given
// ones, only jobs of another database have. NewPool does it for the jobs of its registry; a process without a pool may
// do it at its start, and learns of the rest at the enqueue.
func CheckRoutes(client *Client, jobs ...AnyJob) error {
	if client == nil {
		return errors.New("check routes: nil client")
	}
	erased := make([]*erasedJob, len(jobs))
	for i, j := range jobs {
		erased[i] = j.erase()
	}
	return client.checkChains(erased)
}

func (c *Client) checkChains(jobs []*erasedJob) error {
	if c.routes == nil {
		return nil
	}
	var errs []error
	for _, j := range jobs {
		errs = append(errs, c.checkNext(j, nil), c.checkParents(j, jobs))
	}
	return errors.Join(errs...)
}

// checkNext follows the continuations of a job. path are the kinds that lead to it: a cycle is somebody else's error.
func (c *Client) checkNext(j *erasedJob, path []string) error {
	kind := j.names[0]
	if slices.Contains(path, kind) {
		return nil
	}
	path = append(path[:len(path):len(path)], kind)
	var errs []error
	for _, n := range j.next {
		next := n.Job.erase()
		if c.ForQueue(next.settings.Queue) != c.ForQueue(j.settings.Queue) {
			errs = append(errs, &RouteError{
				What: fmt.Sprintf("%s and its continuation %s", kind, next.names[0]), Queue: j.settings.Queue, Other: next.settings.Queue,
			})
			continue
		}
		errs = append(errs, c.checkNext(next, path))
	}
	return errors.Join(errs...)
}

// checkParents looks for jobs whose results j takes.
func (c *Client) checkParents(j *erasedJob, jobs []*erasedJob) error {
	var errs []error
	for _, p := range j.parents {
		var elsewhere *erasedJob
		for _, of := range jobs {
			if of.result != p.of || p.of == noneType {
				continue
			}
			if c.ForQueue(of.settings.Queue) == c.ForQueue(j.settings.Queue) {
				elsewhere = nil
				break
			}
			if elsewhere == nil {
				elsewhere = of
			}
		}
		if elsewhere != nil {
			errs = append(errs, &RouteError{
				What: fmt.Sprintf("%s, which takes a result of %s,", j.names[0], elsewhere.names[0]), Queue: j.settings.Queue, Other: elsewhere.settings.Queue,
			})
		}
	}
	return errors.Join(errs...)
}
