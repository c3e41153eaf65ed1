package issuing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/maodian-dev/maodian/internal/desired"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeapi/v1/storev1connect"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Dialer connects the manager to stores with the leaves that the Issuer keeps.
type Dialer struct {
	Issuer Issuer

	mu    sync.Mutex
	known map[types.NamespacedName]connection
}

type connection struct {
	version string // of the Secret that it was made from
	client  *storeclient.Client
}

// Control returns a client of one store. It connects at the first call.
func (d *Dialer) Control(ctx context.Context, namespace, store string) (storev1connect.ControlServiceClient, error) {
	s, err := d.Issuer.secret(ctx, namespace, store)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := types.NamespacedName{Namespace: namespace, Name: store}
	if c, ok := d.known[key]; ok {
		if c.version == s.ResourceVersion {
			return c.client.Control, nil
		}
		c.client.Close()
	}
	src, err := source(s)
	if err != nil {
		return nil, err
	}
	if d.known == nil {
		d.known = map[types.NamespacedName]connection{}
	}
	c := connection{version: s.ResourceVersion, client: storeclient.New(src, desired.StoreAddress(namespace, store))}
	d.known[key] = c
	return c.client.Control, nil
}

func source(s *corev1.Secret) (identity.Source, error) {
	leaf, err := tls.X509KeyPair(s.Data[managerCert], s.Data[managerKey])
	if err != nil {
		return nil, fmt.Errorf("read certificate of the manager: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.Data[corev1.TLSCertKey]) {
		return nil, fmt.Errorf("read authority: no certificate in it")
	}
	return &identity.Static{Pair: leaf, Roots: roots}, nil
}
