package envtestrig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Where API servers listen, and the addresses under which they advertise themselves: a
// loopback address may not stand in an EndpointSlice. The last digit tells servers apart.
const (
	listens    = "127.0.0."
	advertises = "198.51.100."
)

// serverNames is whom the certificate of every API server is for, as in a real cluster.
var serverNames = []string{"localhost", "kubernetes.default.svc"}

// Flags are flags of kube-apiserver, by their name without dashes.
type Flags map[string]string

// Start starts an API server with an etcd of its own and our kinds installed. stop ends both.
func Start(flags Flags) (r *Rig, stop func() error, err error) {
	folder, ca, err := certificates()
	if err != nil {
		return nil, nil, fmt.Errorf("make certificates: %w", err)
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(Root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	server := env.ControlPlane.GetAPIServer()
	server.CertDir, server.SecureServing.CA = folder, ca
	stop = func() error { return errors.Join(env.Stop(), os.RemoveAll(folder)) }
	said := configure(server, "1", flags)
	config, err := env.Start()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%w: %s", err, said), stop())
	}
	if r, err = newRig(config); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	r.servers, r.Etcd = env, env.ControlPlane.Etcd.URL.String()
	return r, stop, nil
}

// ErrOneLoopback is of a machine on which two servers cannot listen on one port.
var ErrOneLoopback = errors.New("this machine has one loopback address only")

// Join starts a second API server of the same cluster: it shares etcd, keys, users and port
// with the first, and both advertise themselves in the EndpointSlice of default/kubernetes.
func (r *Rig) Join(flags Flags) (stop func() error, err error) {
	first := r.servers.ControlPlane.GetAPIServer()
	probe, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(listens+"2", first.SecureServing.Port))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOneLoopback, err)
	}
	if err := probe.Close(); err != nil {
		return nil, err
	}
	second := &envtest.APIServer{
		Path: first.Path, CertDir: first.CertDir, EtcdURL: first.EtcdURL, StartTimeout: first.StartTimeout, StopTimeout: first.StopTimeout,
		SecureServing: envtest.SecureServing{
			ListenAddr: envtest.ListenAddr{Address: listens + "2", Port: first.SecureServing.Port},
			CA:         first.SecureServing.CA, Authn: first.SecureServing.Authn,
		},
	}
	said := configure(second, "2", flags)
	if err := second.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start another API server: %w: %s", err, said), second.Stop())
	}
	return second.Stop, nil
}

// Dial reaches API servers by the addresses under which they advertise themselves.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if digit, ok := strings.CutPrefix(address, advertises); ok {
		address = listens + digit
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// configure gives a server its flags; what it says tells why it did not start.
func configure(server *envtest.APIServer, digit string, flags Flags) (said *lastWords) {
	args := server.Configure().
		Append("enable-admission-plugins", "NodeRestriction").
		Set("advertise-address", advertises+digit).
		Set("service-account-issuer", "https://"+serverNames[1])
	for name, value := range flags {
		args.Append(name, value)
	}
	said = &lastWords{}
	server.Err = said
	return said
}

// enough of what a process says tells why it failed.
const enough = 64 << 10

// lastWords keeps the end of what a process says.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.text = append([]byte(nil), w.text[max(0, len(w.text)-enough):]...)
	return len(p), nil
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}

// certificates makes a folder with what API servers need to serve and to sign tokens, and
// returns it with the certificate of its authority.
func certificates() (folder string, ca []byte, err error) {
	chain, key, err := cert.GenerateSelfSignedCertKey(serverNames[1], []net.IP{net.ParseIP(listens + "1"), net.ParseIP(listens + "2")}, serverNames)
	if err != nil {
		return "", nil, err
	}
	folder, err = os.MkdirTemp("", "maodian-rig-")
	for name, text := range map[string][]byte{"apiserver.crt": chain, "apiserver.key": key, "sa-signer.crt": chain, "sa-signer.key": key} {
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), text, 0o600)
		}
	}
	return folder, chain, err
}
