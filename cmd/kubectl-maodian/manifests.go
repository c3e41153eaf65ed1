package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

// manifests is what a Git repository says about transfers.
type manifests struct {
	policies   []*residencyv1.ResidencyPolicy
	namespaces map[string]string // name to policy
	transfers  []*residencyv1.DataTransfer
	stores     []*residencyv1.ConsentStore
	notices    []*residencyv1.PrivacyNotice
	mechanisms []*residencyv1.TransferMechanism
	holds      []residencyv1.RegulatoryHold
}

// readManifests reads files and folders. Kinds of others are passed over; a field of ours
// that there is not is an error.
func readManifests(names []string, in io.Reader) (*manifests, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	m, decoder := &manifests{namespaces: map[string]string{}}, serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, name := range names {
		files, err := filesOf(name)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			body, err := bodyOf(f, in)
			if err != nil {
				return nil, err
			}
			if err := m.read(decoder, body); err != nil {
				return nil, fmt.Errorf("ManifestInvalid: %s: %w", f, err)
			}
		}
	}
	return m, nil
}

func bodyOf(name string, in io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(in)
	}
	body, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("FileUnreadable: %w", err)
	}
	return body, nil
}

// filesOf lists the YAML files of a folder, or the file itself.
func filesOf(name string) (out []string, err error) {
	if name == "-" {
		return []string{name}, nil
	}
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (path == name || strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("FileUnreadable: %w", err)
	}
	return out, nil
}

func (m *manifests) read(decoder runtime.Decoder, body []byte) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(body)))
	for n := 1; ; n++ {
		raw, err := documents.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("document %d: %w", n, err)
		case len(bytes.TrimSpace(raw)) == 0:
			continue
		}
		o, _, err := decoder.Decode(raw, nil, nil)
		switch {
		case runtime.IsNotRegisteredError(err), runtime.IsMissingKind(err):
			continue
		case err != nil:
			return fmt.Errorf("document %d: %w", n, err)
		}
		m.add(o)
	}
}

func (m *manifests) add(o runtime.Object) {
	switch o := o.(type) {
	case *corev1.Namespace:
		m.namespaces[o.Name] = o.Labels[metav1alpha1.PolicyLabel]
	case *residencyv1.ResidencyPolicy:
		m.policies = append(m.policies, o)
	case *residencyv1.DataTransfer:
		m.transfers = append(m.transfers, o)
	case *residencyv1.ConsentStore:
		m.stores = append(m.stores, o)
	case *residencyv1.PrivacyNotice:
		m.notices = append(m.notices, o)
	case *residencyv1.TransferMechanism:
		m.mechanisms = append(m.mechanisms, o)
	case *residencyv1.RegulatoryHold:
		m.holds = append(m.holds, *o)
	}
}

// policyOf is the policy of a namespace: the one that its label names, or where no Namespace
// is in the files, the only one there is.
func (m *manifests) policyOf(namespace string) *residencyv1.ResidencyPolicy {
	name, known := m.namespaces[namespace]
	if !known && len(m.policies) == 1 {
		return m.policies[0]
	}
	return found(m.policies, func(p *residencyv1.ResidencyPolicy) bool { return p.Name == name })
}

func found[T any](list []*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return nil
}
