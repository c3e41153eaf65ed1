package boot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
	"github.com/maodian-dev/maodian/hack/cluster/internal/kube"
	"github.com/maodian-dev/maodian/hack/cluster/internal/pki"
	"github.com/maodian-dev/maodian/hack/cluster/internal/process"
)

// Cluster is the first process of a cluster: its network, its control plane, its nodes. It returns only on failure.
func Cluster(ctx context.Context, c config.Cluster) error {
	// what the starter hands over is not for the programs started here
	unix.CloseOnExec(ListenerFD)
	unix.CloseOnExec(GoFD)
	if err := awaitGo(); err != nil {
		return err
	}
	if err := ownMounts(); err != nil {
		return err
	}
	h := host{Cluster: c, table: process.New(ctx)}
	for _, step := range []func(context.Context) error{h.network, h.storage, h.nodes, h.controllers} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return h.forward(ctx)
}

func awaitGo() error {
	f := os.NewFile(GoFD, "go")
	defer func() { _ = f.Close() }()
	if _, err := io.ReadFull(f, make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the starter: %w", err)
	}
	return nil
}

// host is the cluster's own part, beside its nodes.
type host struct {
	config.Cluster
	table *process.Table
}

func (h host) network(context.Context) error {
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", "br0", "type", "bridge"},
		{"addr", "add", config.GatewayIP + "/24", "dev", "br0"},
		{"link", "set", "br0", "up"},
	} {
		if err := h.table.Run("ip", args...); err != nil {
			return fmt.Errorf("set up bridge: %w", err)
		}
	}
	return nil
}

// storage starts etcd and the API server. Nothing waits for the disk: the data does not outlive the cluster.
func (h host) storage(ctx context.Context) error {
	if err := h.keep(ctx, "etcd",
		"--data-dir", h.Path("etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", "https://127.0.0.1:2379", "--advertise-client-urls", "https://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380",
		"--cert-file", h.PKI("etcd.crt"), "--key-file", h.PKI("etcd.key"),
		"--client-cert-auth", "--trusted-ca-file", h.PKI("ca.crt"),
	); err != nil {
		return err
	}
	return h.keep(ctx, "kube-apiserver",
		"--etcd-servers", "https://127.0.0.1:2379", "--etcd-cafile", h.PKI("ca.crt"),
		"--etcd-certfile", h.PKI("apiserver-etcd.crt"), "--etcd-keyfile", h.PKI("apiserver-etcd.key"),
		"--bind-address", "0.0.0.0", "--secure-port", "6443", "--advertise-address", config.GatewayIP,
		"--tls-cert-file", h.PKI("apiserver.crt"), "--tls-private-key-file", h.PKI("apiserver.key"),
		"--client-ca-file", h.PKI("ca.crt"), "--anonymous-auth=false",
		"--authorization-mode", "Node,RBAC", "--enable-admission-plugins", "NodeRestriction",
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file", h.PKI("sa.pub"), "--service-account-signing-key-file", h.PKI("sa.key"),
		"--kubelet-client-certificate", h.PKI("apiserver-kubelet.crt"), "--kubelet-client-key", h.PKI("apiserver-kubelet.key"),
		"--kubelet-certificate-authority", h.PKI("ca.crt"), "--kubelet-preferred-address-types", "InternalIP",
		"--requestheader-client-ca-file", h.PKI("front-ca.crt"), "--requestheader-username-headers", "X-Remote-User",
		"--requestheader-group-headers", "X-Remote-Group", "--requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"--proxy-client-cert-file", h.PKI("front.crt"), "--proxy-client-key-file", h.PKI("front.key"),
		// no kube-proxy runs here: webhooks are reached at the addresses of their pods
		"--enable-aggregator-routing=true",
		"--service-cluster-ip-range", config.ServiceCIDR, "--allow-privileged=true", "--profiling=false",
	)
}

// nodes starts the first process of each node and plugs it into the bridge.
func (h host) nodes(context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	for _, m := range h.Members() {
		logFile, err := os.Create(h.Log("node-" + m.Name))
		if err != nil {
			return fmt.Errorf("create log: %w", err)
		}
		cmd := exec.Command(self, NodeCommand, h.State, m.Name)
		cmd.Stdout, cmd.Stderr = logFile, logFile
		Isolate(cmd)
		end, err := h.table.Start(cmd)
		if err := errors.Join(err, logFile.Close()); err != nil {
			return err
		}
		go func() {
			status := <-end
			log.Printf("node %s is lost (status %d)", m.Name, status)
		}()
		for _, args := range [][]string{
			{"link", "add", m.Veth(), "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(cmd.Process.Pid)},
			{"link", "set", m.Veth(), "master", "br0", "up"},
			{"route", "add", m.Pods(), "via", m.IP()},
		} {
			if err := h.table.Run("ip", args...); err != nil {
				return fmt.Errorf("connect node %s: %w", m.Name, err)
			}
		}
	}
	return nil
}

// controllers starts what needs a ready API server. The controller manager gives up when the bootstrap of roles is
// not done, which /readyz tells and /livez does not.
func (h host) controllers(ctx context.Context) error {
	client, err := kube.Client(h.PKI(pki.AdminKubeconfig))
	if err != nil {
		return err
	}
	if err := until(ctx, "the API server", func(ctx context.Context) error { return kube.APIReady(ctx, client) }); err != nil {
		return err
	}
	kcm, scheduler := h.PKI("kube-controller-manager.kubeconfig"), h.PKI("kube-scheduler.kubeconfig")
	if err := h.keep(ctx, "kube-controller-manager",
		"--kubeconfig", kcm, "--authentication-kubeconfig", kcm, "--authorization-kubeconfig", kcm,
		"--service-account-private-key-file", h.PKI("sa.key"), "--root-ca-file", h.PKI("ca.crt"),
		"--use-service-account-credentials", "--leader-elect=false", "--bind-address", "127.0.0.1",
		// one account and one token for each controller: at the default rate that alone takes five seconds
		"--kube-api-qps", "300", "--kube-api-burst", "500",
		"--cluster-signing-cert-file", h.PKI("ca.crt"), "--cluster-signing-key-file", h.PKI("ca.key"),
		"--node-monitor-grace-period", "20s",
	); err != nil {
		return err
	}
	if err := h.keep(ctx, "kube-scheduler",
		"--kubeconfig", scheduler, "--authentication-kubeconfig", scheduler, "--authorization-kubeconfig", scheduler,
		"--leader-elect=false", "--bind-address", "127.0.0.1",
	); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	return h.table.Keep(ctx, h.Log("local-provisioner"), self, ProvisionerCommand, h.State)
}

func (h host) keep(ctx context.Context, program string, args ...string) error {
	return h.table.Keep(ctx, h.Log(program), h.Programs[program], args...)
}

// forward lets programs outside reach the API server. The listener was opened outside and stays bound there, while
// this process dials inside: that is the only way between the two networks, and it ends with this process.
func (h host) forward(ctx context.Context) error {
	f := os.NewFile(ListenerFD, "listener")
	l, err := net.FileListener(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("take over listener: %w", err)
	}
	for {
		outside, err := l.Accept()
		if err != nil {
			return fmt.Errorf("accept connection: %w", err)
		}
		go func() {
			var d net.Dialer
			inside, err := d.DialContext(ctx, "tcp", config.APIAddress)
			if err != nil {
				log.Print(err)
				_ = outside.Close()
				return
			}
			join(inside, outside)
		}()
	}
}

// join copies both ways until both sides are done.
func join(a, b net.Conn) {
	done := make(chan struct{})
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		if c, ok := dst.(*net.TCPConn); ok {
			_ = c.CloseWrite()
		}
		done <- struct{}{}
	}
	go pipe(a, b)
	go pipe(b, a)
	<-done
	<-done
	_, _ = a.Close(), b.Close()
}
