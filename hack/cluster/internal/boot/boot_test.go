package boot

import (
	"io"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/hack/cluster/internal/config"
)

func TestSave_LoadsAgain(t *testing.T) {
	want := config.Cluster{
		Name: "maodian", State: t.TempDir(), Programs: map[string]string{"etcd": "/c/etcd"},
		Config: config.Config{Nodes: []config.Node{{Name: "hz1", Region: "cn-hangzhou", Zone: "cn-hangzhou-h"}}},
	}
	if err := Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := Load(want.State)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("cluster (-want +got):\n%s", d)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("an empty folder is a cluster")
	}
}

func TestParseMajor(t *testing.T) {
	for in, want := range map[string]int{
		"containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3":            1,
		"containerd github.com/containerd/containerd/v2 v2.4.2 1c4457e00facac03ce1d75f7b6777a7a": 2,
		"containerd github.com/containerd/containerd/v2 2.1.0+unknown":                           2,
	} {
		if got, err := parseMajor(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "containerd", "a b c"} {
		if _, err := parseMajor(in); err == nil {
			t.Errorf("%q is understood", in)
		}
	}
}

// pair is one TCP connection over loopback.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func TestJoin_PassesHalfClosedConnections(t *testing.T) {
	client, outside := pair(t)
	inside, server := pair(t)
	go join(inside, outside)
	go func() {
		b, _ := io.ReadAll(server)
		_, _ = server.Write(append(b, " and back"...))
		_ = server.Close()
	}()
	if _, err := client.Write([]byte("there")); err != nil {
		t.Fatal(err)
	}
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(client); err != nil || string(b) != "there and back" {
		t.Errorf("answer = %q, %v", b, err)
	}
}
