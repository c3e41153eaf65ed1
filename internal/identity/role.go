// Package identity says who is who between the parts of the data plane and the manager.
// A certificate's only URI names one role (SPIFFE form); the store grants by role and by
// nothing else. Certificates, keys and the authority's certificate are read from files
// again when they change, so a rotation needs no restart.
package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Kind of part.
type Kind string

// Kinds.
const (
	Store    Kind = "store"
	Manager  Kind = "manager"
	Gateway  Kind = "gateway"
	Dispatch Kind = "dispatch"
	Transfer Kind = "transfer"
	// Aggregate is of a transfer of counts. It is no Transfer: no row is open to it.
	Aggregate Kind = "aggregate"
	Officer   Kind = "officer" // who answers people's requests, in the region
	Peer      Kind = "peer"    // another store of the same processor; Name and Run are its namespace and name
)

// trustDomain of every Maodian certificate.
const trustDomain = "maodian"

// ErrIdentity says that a certificate or URI names no role, or another one than expected.
var ErrIdentity = errors.New("identity not acceptable")

// Role is one part's identity towards one store.
type Role struct {
	Kind      Kind
	Namespace string
	Store     string // name of the ConsentStore
	Name      string // account, campaign or transfer; of a peer its namespace; empty for store and manager
	Run       string // of a dispatch, transfer or aggregate: its id; of a peer its name
}

var segment = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// names tells how many of Name and Run a kind has.
func (k Kind) names() int {
	switch k {
	case Store, Manager, Officer:
		return 0
	case Gateway:
		return 1
	case Dispatch, Transfer, Aggregate, Peer:
		return 2
	}
	return -1
}

// URI returns the form spiffe://maodian/<namespace>/<store>/<kind>[/<name>[/<run>]].
func (r Role) URI() *url.URL {
	parts := []string{"", r.Namespace, r.Store, string(r.Kind), r.Name, r.Run}
	return &url.URL{Scheme: "spiffe", Host: trustDomain, Path: strings.Join(parts[:4+max(0, r.Kind.names())], "/")}
}

// Parse reads a role from its URI; anything unexpected is refused.
func Parse(u *url.URL) (Role, error) {
	if u.Scheme != "spiffe" || u.Host != trustDomain || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return Role{}, fmt.Errorf("%w: not a spiffe://%s URI", ErrIdentity, trustDomain)
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) < 4 || parts[0] != "" || len(parts) != 4+Kind(parts[3]).names() {
		return Role{}, fmt.Errorf("%w: wrong number of parts", ErrIdentity)
	}
	for _, p := range parts[1:] {
		if !segment.MatchString(p) {
			return Role{}, fmt.Errorf("%w: malformed part", ErrIdentity)
		}
	}
	parts = append(parts, "", "")
	return Role{Namespace: parts[1], Store: parts[2], Kind: Kind(parts[3]), Name: parts[4], Run: parts[5]}, nil
}

// Of reads the role of a verified certificate, which must carry exactly one URI.
func Of(cert *x509.Certificate) (Role, error) {
	if len(cert.URIs) != 1 {
		return Role{}, fmt.Errorf("%w: the certificate must carry exactly one URI", ErrIdentity)
	}
	return Parse(cert.URIs[0])
}
