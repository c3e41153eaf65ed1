package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/controllers/marketing"
	"github.com/maodian-dev/maodian/controllers/residency"
	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/issuing"
	"github.com/maodian-dev/maodian/internal/proving"
	"github.com/maodian-dev/maodian/internal/watching"
)

// +kubebuilder:rbac:groups="",namespace=maodian-system,resources=secrets,verbs=get;create;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=maodian-system,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups="",namespace=maodian-system,resources=serviceaccounts,resourceNames=maodian-prober,verbs=impersonate
// +kubebuilder:rbac:groups=discovery.k8s.io,resources=endpointslices,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch

// reporter is who events say they come from.
const reporter = "maodian-manager"

// prober is the service account under which the manager tries attacks.
const prober = "maodian-prober"

// leaderID names the lease of the manager that acts.
const leaderID = "manager.maodian.dev"

// serve runs the manager until ctx ends.
func serve(ctx context.Context, cfg *rest.Config, o options) error {
	extraCA, err := readCA(o.extraCAFile)
	if err != nil {
		return err
	}
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	user, err := whoAmI(ctx, cfg, scheme)
	if err != nil {
		return err
	}
	m, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:        o.healthAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaderID,
		LeaderElectionNamespace:       o.systemNamespace,
		LeaderElectionReleaseOnCancel: true,
		Cache:                         watching.CacheOptions(),
		Client:                        client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
	})
	if err != nil {
		return fmt.Errorf("create manager: %w", err)
	}
	if err := wire(m, o, user, extraCA); err != nil {
		return fmt.Errorf("set up controllers: %w", err)
	}
	if err := errors.Join(m.AddHealthzCheck("ping", healthz.Ping), m.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return fmt.Errorf("set up health checks: %w", err)
	}
	return m.Start(ctx)
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), residencyv1.AddToScheme(s), marketingv1.AddToScheme(s)); err != nil {
		return nil, fmt.Errorf("build scheme: %w", err)
	}
	return s, nil
}

// whoAmI asks the API server for the user name that the guard must let attest nodes.
func whoAmI(ctx context.Context, cfg *rest.Config, scheme *runtime.Scheme) (string, error) {
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return "", fmt.Errorf("connect to API server: %w", err)
	}
	var review authenticationv1.SelfSubjectReview
	if err := c.Create(ctx, &review); err != nil {
		return "", fmt.Errorf("ask for own user name: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// readCA reads additional authorities, and refuses a file that holds none.
func readCA(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read additional authorities: %w", err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return "", errors.New("read additional authorities: no certificate in the file")
	}
	return string(pem), nil
}

// wire builds what the controllers share, and registers them.
func wire(m ctrl.Manager, o options, user, extraCA string) error {
	c, real := m.GetClient(), clock.RealClock{}
	proberUser := "system:serviceaccount:" + o.systemNamespace + ":" + prober
	prover, err := proving.NewProver(m.GetConfig(), proberUser)
	if err != nil {
		return err
	}
	issuer := issuing.Issuer{Client: c, SystemNamespace: o.systemNamespace, Clock: real}
	stores := &issuing.Dialer{Issuer: issuer}
	pusher := &gather.Pusher{Reader: c, Stores: stores, Clock: real}
	platform := desired.Platform{Image: o.image, SystemNamespace: o.systemNamespace, ExtraCA: extraCA != ""}
	recorder := m.GetEventRecorder(reporter)
	return errors.Join(
		residency.SetupWithManager(m, residency.Deps{
			Client: c, Scheme: m.GetScheme(), Clock: real, Issuer: issuer, Stores: stores, Pusher: pusher, Platform: platform, Recorder: recorder,
			Meter: &gather.Meter{Cache: c, Live: m.GetAPIReader(), Stores: stores}, Resolver: net.DefaultResolver,
			ExtraCA: extraCA, Manager: user, Prover: prover, ProberUser: proberUser, NewID: func() string { return string(uuid.NewUUID()) }, NewKey: newKey,
			Evidence: residency.LogEvidence{Log: m.GetLogger()}, Metrics: metrics.Registry,
		}),
		marketing.SetupWithManager(m, marketing.Deps{
			Client: c, Scheme: m.GetScheme(), Clock: real, Issuer: issuer, Stores: stores, Pusher: pusher, Platform: platform, Recorder: recorder,
			Gateways: marketing.NewHTTPGateways(),
		}),
	)
}

// newKey draws the key of a store.
func newKey() ([]byte, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return key, err
}
