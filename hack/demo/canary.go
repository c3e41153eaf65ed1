package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// haystack is a place where people's identifiers and secrets could have leaked to.
type haystack struct {
	name  string
	known []string // words that it must hold
	text  []byte
}

// canary is chapter 8: it searches everything of zone "anywhere" for every person's openid
// and for every secret.
func (s *story) canary(ctx context.Context) error {
	ids, err := s.scenario.OpenIDs()
	if err != nil {
		return err
	}
	key, err := s.set.CoreV1().Secrets(namespace).Get(ctx, "brand-store-key", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the store's key: %w", err)
	}
	s.secrets = append(s.secrets, string(key.Data["key"]))
	var people []string
	for _, id := range ids {
		people = append(people, id.Reveal()) // synthetic, and made here from the seed
	}
	etcd, err := s.etcd()
	if err != nil {
		return err
	}
	objects, err := s.objectsOfTheAPI(ctx)
	if err != nil {
		return err
	}
	logs, err := s.allLogs(ctx)
	if err != nil {
		return err
	}
	everything := append(append(etcd, objects), logs...)
	for _, h := range everything { // a search that finds nothing at all would prove nothing
		s.report.check("the search works: words that must be in "+h.name+" and are found", count(h.text, h.known), len(h.known))
	}
	for _, h := range everything {
		s.report.check(fmt.Sprintf("openids in %s (%d bytes, %d people sought)", h.name, len(h.text), len(people)), count(h.text, people), 0)
	}
	for _, h := range append(logs, objects) {
		s.report.check(fmt.Sprintf("secrets in %s (%d sought)", h.name, len(s.secrets)), count(h.text, s.secrets), 0)
	}
	return nil
}

// count tells how many needles are found, plain or in base64. It looks once at each place
// of the text, however many needles there are.
func count(text []byte, needles []string) int {
	sought, lengths := map[string]string{}, map[int]bool{}
	for _, n := range needles {
		for _, form := range []string{n, base64.StdEncoding.EncodeToString([]byte(n))} {
			sought[form], lengths[len(form)] = n, true
		}
	}
	var first [256]bool
	for form := range sought {
		first[form[0]] = true
	}
	found := map[string]bool{}
	for i, b := range text {
		if !first[b] {
			continue
		}
		for l := range lengths {
			if i+l <= len(text) {
				if n, ok := sought[string(text[i:i+l])]; ok {
					found[n] = true
				}
			}
		}
	}
	return len(found)
}

// ofTheStory are names that stand in its objects.
var ofTheStory = []string{"spring-tea", "acme-group-crm"}

// etcd reads etcd's files whole: present objects and all former ones.
func (s *story) etcd() ([]haystack, error) {
	if s.o.state == "" {
		s.report.say("Not the local cluster: etcd's files are not read, only what the API serves.")
		return nil, nil
	}
	h := haystack{name: "etcd's files", known: ofTheStory}
	err := filepath.WalkDir(filepath.Join(s.o.state, "etcd"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		h.text = append(h.text, b...)
		return err
	})
	if err != nil || len(h.text) == 0 {
		return nil, fmt.Errorf("read etcd's files: %w", err)
	}
	return []haystack{h}, nil
}

// objectsOfTheAPI lists every object of every kind but Secrets; events are among them.
func (s *story) objectsOfTheAPI(ctx context.Context) (haystack, error) {
	h := haystack{name: "all objects and events", known: ofTheStory}
	lists, err := s.set.Discovery().ServerPreferredResources()
	if err != nil {
		return h, fmt.Errorf("discover kinds: %w", err)
	}
	for _, l := range lists {
		for _, r := range l.APIResources {
			if r.Kind == "Secret" || strings.Contains(r.Name, "/") || !contains(r.Verbs, "list") {
				continue
			}
			path := "/apis/" + l.GroupVersion + "/" + r.Name
			if l.GroupVersion == "v1" {
				path = "/api/v1/" + r.Name
			}
			raw, err := s.set.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
			if err != nil {
				return h, fmt.Errorf("list %s: %w", r.Name, err)
			}
			h.text = append(h.text, raw...)
		}
	}
	return h, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// logsOf reads the log of a pod's process, and of the one before it. A pod that has not begun has none.
func (s *story) logsOf(ctx context.Context, p corev1.Pod) (out []byte, err error) {
	for _, c := range p.Status.ContainerStatuses {
		for _, previous := range []bool{false, true} {
			if c.ContainerID == "" || (previous && c.RestartCount == 0) {
				continue
			}
			raw, err := s.set.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: c.Name, Previous: previous}).DoRaw(ctx)
			if err != nil {
				return nil, fmt.Errorf("read log of %s: %w", p.Name, err)
			}
			out = append(out, raw...)
		}
	}
	return out, nil
}

// allLogs reads the logs of every pod, of processes that were killed too, and the control plane's.
func (s *story) allLogs(ctx context.Context) ([]haystack, error) {
	pods, err := s.set.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	anywhere, region := haystack{name: "logs of zone anywhere", known: []string{"maodian-manager", "kube-apiserver"}}, haystack{name: "logs of the data plane", known: []string{"Serving account", "Dispatching"}}
	for _, p := range pods.Items {
		if p.Namespace == "wechat-twin" || p.Namespace == "zurich" {
			continue // not ours: they stand for WeChat and head office
		}
		raw, err := s.logsOf(ctx, p)
		if err != nil {
			return nil, err
		}
		if p.Namespace == namespace {
			region.text = append(region.text, raw...)
		} else {
			anywhere.text = append(anywhere.text, raw...)
		}
	}
	if s.o.state != "" {
		files, err := filepath.Glob(filepath.Join(s.o.state, "log", "*.log"))
		if err != nil {
			return nil, fmt.Errorf("find logs: %w", err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, fmt.Errorf("read log: %w", err)
			}
			anywhere.text = append(anywhere.text, b...)
		}
	}
	return []haystack{anywhere, region}, nil
}
