package envtestrig

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/maodian-dev/maodian/internal/watching"
)

// Controllers returns a Setup that runs controllers with the manager's own rights.
func Controllers(wire func(*Rig, ctrl.Manager) error) Setup {
	return func(r *Rig) (func() error, error) {
		ctrl.SetLogger(logr.Discard())
		ctx, cancel := context.WithCancel(context.Background())
		config, err := r.AsManager(ctx)
		if err != nil {
			cancel()
			return nil, err
		}
		m, err := r.manager(config)
		if err == nil {
			err = wire(r, m)
		}
		if err != nil {
			cancel()
			return nil, fmt.Errorf("set up controllers: %w", err)
		}
		done := make(chan error, 1)
		go func() { done <- m.Start(ctx) }()
		return func() error {
			cancel()
			return errors.Join(<-done)
		}, nil
	}
}

func (r *Rig) manager(cluster *rest.Config) (ctrl.Manager, error) {
	return ctrl.NewManager(cluster, ctrl.Options{
		Scheme: r.Scheme,
		// a test may start the manager again
		Controller: config.Controller{SkipNameValidation: ptr.To(true)},
		Logger:     logr.Discard(),
		Cache:      watching.CacheOptions(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Client:     client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
}
