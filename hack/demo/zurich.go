package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/subject"
)

const (
	bucket    = "group-crm"
	accessKey = "group-crm-writer"
	secretKey = "demo-only-7c1f0a4b9d2e"
	s3Host    = "s3.eu-central-1.example"
)

// tooEarly is chapter 3: nobody follows yet, so nobody can have agreed.
func (s *story) tooEarly(ctx context.Context) error {
	s.secrets = append(s.secrets, secretKey)
	if err := s.zurich(ctx); err != nil {
		return err
	}
	said, err := s.run(ctx, "", "apply", "-f", s.sample("60-transfer-blocked.yaml"))
	if err != nil {
		return err
	}
	s.report.hold("kubectl warns whoever applies it at once, by the code that needs nothing of the store", strings.Contains(said, "PIAMissing: no impact assessment"), said)
	blocked, err := s.transferDone(ctx, "leads-to-zurich")
	if err != nil {
		return err
	}
	s.report.check("leads-to-zurich, without an assessment and before anybody agreed", blocked.Status.Decision, "Refused")
	s.refusals(blocked, "PIAMissing", "ConsentMissing")
	s.report.say("No mechanism is asked for: 5000 people a year are below 100,000 (%s).", blocked.Status.Mechanism)
	objects, err := s.objects(ctx)
	if err != nil {
		return err
	}
	s.report.check("objects that reached head office's bucket", len(objects), 0)
	return nil
}

// transfers is chapter 6.
func (s *story) transfers(ctx context.Context) error {
	blocked := &residencyv1.DataTransfer{}
	err := s.until(ctx, "the blocked transfer to be decided anew", storyTimeout, func(ctx context.Context) (bool, string, error) {
		err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "leads-to-zurich"}, blocked)
		return codes(blocked) == "PIAMissing", codes(blocked), err
	})
	if err != nil {
		return err
	}
	s.report.check("leads-to-zurich, decided anew now that people have agreed", blocked.Status.Decision, "Refused")
	s.refusals(blocked, "PIAMissing")
	if err := s.apply(ctx, s.sample("61-transfer-allowed.yaml")); err != nil {
		return err
	}
	done, err := s.transferDone(ctx, "leads-to-zurich-q4")
	if err != nil {
		return err
	}
	s.report.check("leads-to-zurich-q4, the same request with its papers", done.Status.Decision, "Allowed")
	if done.Status.Decision != "Allowed" {
		s.refusals(done)
		return errStory
	}
	for _, tell := range []func(context.Context) error{
		func(ctx context.Context) error { return s.arrived(ctx, done) }, s.counts, s.tier, s.killed, s.stopped, s.held, s.together,
	} {
		if err := tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

// again is chapter 7: a GitOps tool applies the same files over and over.
func (s *story) again(ctx context.Context) error {
	files, err := filepath.Glob(s.sample("[0-9]*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("%w: no samples in %s", errStory, s.o.samples)
	}
	files = slices.DeleteFunc(files, func(f string) bool { // the one was deleted by hand, which is what it is for; the other is an attestor's, for one incident
		return strings.HasSuffix(f, "51-sendhold.yaml") || strings.HasSuffix(f, "80-exception.yaml")
	})
	if err := s.rest(ctx, files); err != nil {
		return err
	}
	before, err := s.secretVersions(ctx)
	if err != nil {
		return err
	}
	objects, changed := 0, []string{}
	for _, f := range files {
		n, lines, err := s.applyAgain(ctx, f)
		if err != nil {
			return err
		}
		objects, changed = objects+n, append(changed, lines...)
	}
	after, err := s.secretVersions(ctx)
	if err != nil {
		return err
	}
	for name, version := range after { // kubectl says "configured" of every stringData; the server knows better
		if before[name] != version {
			changed = append(changed, "secret/"+name)
		}
	}
	s.report.check(fmt.Sprintf("objects that a second apply of all %d changed", objects), strings.Join(changed, ", "), "")
	return nil
}

// rest applies the files that had no part in the story.
func (s *story) rest(ctx context.Context, files []string) error {
	for _, f := range files {
		if _, _, err := s.applyAgain(ctx, f); err != nil {
			return err
		}
	}
	return s.weekly(ctx)
}

// applyAgain applies a file and returns how many objects it holds, and the lines of those
// that kubectl says it changed. Secrets are compared by their versions instead.
func (s *story) applyAgain(ctx context.Context, file string) (objects int, changed []string, err error) {
	out, err := s.run(ctx, "", "apply", "-f", file)
	for line := range strings.Lines(out) {
		objects++
		if line = strings.TrimSpace(line); !strings.HasSuffix(line, " unchanged") && !strings.HasPrefix(line, "secret/") {
			changed = append(changed, line)
		}
	}
	return objects, changed, err
}

func (s *story) secretVersions(ctx context.Context) (map[string]string, error) {
	list, err := s.set.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	out := map[string]string{}
	for _, x := range list.Items {
		out[x.Name] = x.ResourceVersion
	}
	return out, nil
}

// codes lists why a transfer is refused.
func codes(t *residencyv1.DataTransfer) string {
	var out []string
	for _, r := range t.Status.Refusals {
		out = append(out, r.Code)
	}
	return strings.Join(out, " ")
}

func (s *story) refusals(t *residencyv1.DataTransfer, want ...string) {
	for _, r := range t.Status.Refusals {
		s.report.say("%s [%s] %s → %s", r.Code, strings.Join(r.Cites, ", "), r.Field, r.Remedy)
		s.report.hold(r.Code+" names its article and what would pass", len(r.Cites) > 0 && r.Remedy != "", "")
	}
	if len(want) > 0 {
		s.report.check("every reason that applies, and no other", codes(t), strings.Join(want, " "))
	}
}

// arrived reads the bucket as head office would.
func (s *story) arrived(ctx context.Context, t *residencyv1.DataTransfer) error {
	want := subject.People(int64(s.expected.Transferable))
	s.report.check("people who agreed to this recipient, separately and before", t.Status.Persons, want)
	for _, x := range t.Status.Excluded {
		s.report.say("left out for %s: %s", x.Reason, x.Count)
	}
	got, err := s.delivery(ctx, t.Name)
	if err != nil {
		return err
	}
	s.report.check("rows that arrived in the bucket", got.rows, s.expected.Transferable)
	s.report.check("different people among them", len(got.ids), s.expected.Transferable)
	if err := s.audited(ctx, t, got); err != nil {
		return err
	}
	s.report.check("fields that arrived, the named ones only", strings.Join(slices.Sorted(maps.Keys(got.keys)), " "), "id lead.score lead.stage tags")
	s.report.check("the manifest lists every part with its hash", strings.Join(got.listed, " "), strings.Join(got.sums, " "))
	s.report.check("the status shows the manifest's hash", t.Status.Manifest.SHA256, got.manifest)
	counted, all := "", strconv.Itoa(s.expected.Transferable+subject.Few-1) // how many fewer than 20 the other store has counted is not told
	err = s.until(ctx, "the policy's counter", podTimeout, func(ctx context.Context) (bool, string, error) {
		var err error
		counted, err = s.counter(ctx)
		return counted == all, counted, err
	})
	s.report.hold("the policy's counter of the year is that number, and 19 for the fewer than 20 of a second store: "+counted, err == nil, "expected "+all)
	return nil
}

// held asks once more while the authority's order stands.
func (s *story) held(ctx context.Context) error {
	before, err := s.objects(ctx)
	if err != nil {
		return err
	}
	if err := s.applyText(ctx, staged("next-transfer.yaml")); err != nil {
		return err
	}
	next, err := s.transferDone(ctx, "leads-to-zurich-next")
	if err != nil {
		return err
	}
	s.report.check("leads-to-zurich-next, with all its papers, after the authority's order psb-2026-118", next.Status.Decision, "Refused")
	s.refusals(next, "PublicSecurityHold")
	after, err := s.objects(ctx)
	if err != nil {
		return err
	}
	s.report.check("objects that reached the bucket since the order", len(after)-len(before), 0)
	return nil
}

// zurich puts up head office's bucket.
func (s *story) zurich(ctx context.Context) error {
	if err := s.applyText(ctx, staged("zurich.yaml")); err != nil {
		return err
	}
	cert, key, err := s.ca.serve(s3Host)
	if err != nil {
		return err
	}
	login := map[string][]byte{"accessKeyID": []byte(accessKey), "secretAccessKey": []byte(secretKey)}
	for _, x := range []struct {
		ns, name string
		data     map[string][]byte
	}{{"zurich", "s3-tls", map[string][]byte{"tls.crt": cert, "tls.key": key}}, {"zurich", "s3-root", login}, {namespace, "group-crm-s3", login}} {
		if err := s.secret(ctx, x.ns, x.name, x.data); err != nil {
			return err
		}
	}
	if err := s.available(ctx, "zurich", "s3"); err != nil {
		return err
	}
	return s.withBucket(func(c *minio.Client) error {
		if there, err := c.BucketExists(ctx, bucket); err != nil || there {
			return err
		}
		return c.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
	})
}

// forwarded is a connection through a forwarded port of its own.
type forwarded struct {
	net.Conn
	stop func()
}

// Close ends the connection and its port.
func (f forwarded) Close() error {
	defer f.stop()
	return f.Conn.Close()
}

// withBucket looks into the bucket as head office would. Each connection has a port of its
// own, since a forwarded port does not outlive the first connection that the server closes.
func (s *story) withBucket(use func(*minio.Client) error) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.ca.pem)
	t := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			addr, stop, err := s.forward(ctx, "zurich", "app=s3", 443)
			if err != nil {
				return nil, err
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err != nil {
				stop()
				return nil, err
			}
			return forwarded{conn, sync.OnceFunc(stop)}, nil
		},
	}
	defer t.CloseIdleConnections()
	client, err := minio.New(s3Host, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Secure: true, Region: "us-east-1", BucketLookup: minio.BucketLookupPath, Transport: t,
	})
	if err == nil {
		err = use(client)
	}
	if err != nil {
		return fmt.Errorf("look into the bucket: %w", err)
	}
	return nil
}

// objects reads the whole bucket.
func (s *story) objects(ctx context.Context) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := s.withBucket(func(c *minio.Client) error {
		for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
			if o.Err != nil {
				return o.Err
			}
			body, err := c.GetObject(ctx, bucket, o.Key, minio.GetObjectOptions{})
			if err != nil {
				return err
			}
			out[o.Key], err = io.ReadAll(body)
			_ = body.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// forward opens a local port to a pod, through the API server.
func (s *story) forward(ctx context.Context, ns, selector string, port int) (string, func(), error) {
	pods, err := s.set.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: selector, FieldSelector: "status.phase=Running"})
	if err != nil || len(pods.Items) == 0 {
		return "", nil, fmt.Errorf("find pod %s: %w", selector, err)
	}
	rt, upgrader, err := spdy.RoundTripperFor(s.config)
	if err != nil {
		return "", nil, fmt.Errorf("forward port: %w", err)
	}
	url := s.set.CoreV1().RESTClient().Post().Resource("pods").Namespace(ns).Name(pods.Items[0].Name).SubResource("portforward").URL()
	stop, ready := make(chan struct{}), make(chan struct{})
	fw, err := portforward.New(spdy.NewDialer(upgrader, &http.Client{Transport: rt}, "POST", url), []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		return "", nil, fmt.Errorf("forward port: %w", err)
	}
	failed := make(chan error, 1)
	go func() { failed <- fw.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-failed:
		return "", nil, fmt.Errorf("forward port: %w", err)
	case <-time.After(podTimeout):
		close(stop)
		return "", nil, fmt.Errorf("%w: forwarding a port took too long", errStory)
	}
	local, err := fw.GetPorts()
	if err != nil {
		close(stop)
		return "", nil, fmt.Errorf("forward port: %w", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", local[0].Local), func() { close(stop) }, nil
}
