package guard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	arv1 "k8s.io/api/admissionregistration/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// staticSuffix ends the name of every policy that an API server loads from disk, and of no
// other (1.37).
const staticSuffix = ".static.k8s.io"

// The API server reads each kind from a folder of its own.
const (
	validating = "validating"
	mutating   = "mutating"
)

// Manifest is one object as a control plane loads it from disk.
type Manifest struct {
	// Folder is validating or mutating.
	Folder string
	// File is the name of its file. It begins with the policy's name and an underscore, which no
	// name of a policy holds: manifests of several policies lie side by side.
	File string
	// Name is the name of the object.
	Name string
	// Object is its text.
	Object map[string]any
}

// Static returns the guard of a policy as manifests for the control plane's disk, where no
// request can reach them, and with them the policy that protects the guard: an API server
// evaluates only those for requests about policies (leaks.md L78, F21).
func Static(p *residencyv1.ResidencyPolicy, o Options) ([]Manifest, error) {
	g, err := Compile(p, o)
	if err != nil {
		return nil, err
	}
	c := newCompiler(p, o)
	objects := append(protection(c, g.names()), g.Objects...)
	var out []Manifest
	for _, object := range objects {
		if object.Kind == "NetworkPolicy" {
			continue
		}
		m, err := c.static(object)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (c compiler) static(o Object) (Manifest, error) {
	raw, err := json.Marshal(o.Apply)
	if err != nil {
		return Manifest{}, fmt.Errorf("render %s: %w", o.Name, err)
	}
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return Manifest{}, fmt.Errorf("render %s: %w", o.Name, err)
	}
	name := o.Name + staticSuffix
	object["metadata"] = map[string]any{"name": name}
	if spec, ok := object["spec"].(map[string]any); ok && spec["policyName"] != nil {
		spec["policyName"] = name
	}
	folder := validating
	if strings.HasPrefix(o.Kind, "Mutating") {
		folder = mutating
	}
	file := owns(c.policy) + strings.TrimPrefix(o.Name, c.name("")) + "." + o.Kind + ".json"
	return Manifest{Folder: folder, File: file, Name: name, Object: object}, nil
}

// protection lets the manager write the guard and nobody weaken it. Only a static policy is
// asked about policies. What carries the mark of another policy, whose name may begin alike,
// is not its concern; the manager may remove what is no part of the guard any more.
func protection(c compiler, names []string) []Object {
	policies := "request.resource.resource in ['validatingadmissionpolicies', 'mutatingadmissionpolicies']"
	return c.validating(topic{
		name: "protection",
		resources: []rule{{"admissionregistration.k8s.io", []arv1.OperationType{arv1.Create, arv1.Update, arv1.Delete},
			[]string{"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"}}},
		conditions: []named{{"of-this-policy", "(request.operation == 'CREATE' ? [object] : request.operation == 'DELETE' ? [oldObject] : [object, oldObject])" +
			".exists(o, o.metadata.?name.orValue('').startsWith(" + quote(c.name("")) + ") && " + // the name of a request that deletes many is empty
			"o.metadata.?labels[?" + quote(policyLabel) + "].orValue(" + quote(c.policy) + ") == " + quote(c.policy) + ")"}},
		variables: []named{{"attestor", c.attests()}, {"removes", "request.operation == 'DELETE'"}},
		checks: []check{
			{reason.GovernedNamespace, "variables.attestor || request.userInfo.username == " + quote(c.manager), "'the guard is written by the manager'"},
			{reason.GovernedNamespace, "!variables.removes || variables.attestor || " + boolean(len(c.marked) == 0) + " || !(oldObject.metadata.name in " + list(names) + ")",
				"'the guard of governed namespaces is removed by an attestor'"},
			{reason.GovernedNamespace, "variables.removes || !(" + policies + ") || object.spec.failurePolicy == 'Fail'", "'`failurePolicy` of the guard must be Fail'"},
			{reason.GovernedNamespace, "variables.removes || request.resource.resource != 'validatingadmissionpolicybindings' || 'Deny' in object.spec.validationActions || variables.attestor",
				"'the guard must deny: an attestor may let it warn'"},
		},
	})
}

// names returns the names of the guard's policies and bindings, each once.
func (g Guard) names() []string {
	var out []string
	for _, o := range g.Objects {
		if o.Kind != "NetworkPolicy" {
			out = append(out, o.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// owns begins the name of each file of a policy.
func owns(policy string) string { return policy + "_" }

// WriteStatic writes one file an object, and the AdmissionConfiguration beside them. In a
// folder that an API server reads already each file is replaced at once, and those of the
// policy's older guard go last: at no time less is in force than both guards have in common.
func WriteStatic(folder, policy string, manifests []Manifest) error {
	folder, err := filepath.Abs(folder) // the API server takes no other
	if err != nil {
		return fmt.Errorf("write manifests: %w", err)
	}
	for _, sub := range []string{validating, mutating} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o750); err != nil {
			return fmt.Errorf("write manifests: %w", err)
		}
	}
	written := map[string]bool{}
	for _, m := range manifests {
		path := filepath.Join(m.Folder, m.File)
		if err := writeJSON(folder, path, m.Object); err != nil {
			return err
		}
		written[path] = true
	}
	if err := removeOlder(folder, policy, written); err != nil {
		return fmt.Errorf("remove older manifests: %w", err)
	}
	return writeJSON(folder, "admission.json", AdmissionConfiguration(folder))
}

func removeOlder(folder, policy string, written map[string]bool) error {
	for _, sub := range []string{validating, mutating} {
		entries, err := os.ReadDir(filepath.Join(folder, sub))
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(sub, e.Name())
			if written[path] || !strings.HasPrefix(e.Name(), owns(policy)) {
				continue
			}
			if err := os.Remove(filepath.Join(folder, path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeJSON replaces a file at once, unless it is as it must be: an API server that reads it
// meanwhile sees the old one or the new one, and looks again once for each that has changed.
func writeJSON(folder, path string, object any) error {
	text, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		return fmt.Errorf("render: %w", err)
	}
	text = append(text, '\n')
	path, next := filepath.Join(folder, path), filepath.Join(folder, "next")
	if is, err := os.ReadFile(path); err == nil && bytes.Equal(is, text) {
		return nil
	}
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write manifests: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write manifests: %w", err)
	}
	return nil
}

// AdmissionConfiguration is the file for the API server's flag --admission-control-config-file
// that loads the manifests from folder.
func AdmissionConfiguration(folder string) map[string]any {
	plugin := func(name, kind, sub string) map[string]any {
		return map[string]any{"name": name, "configuration": map[string]any{
			"apiVersion": "apiserver.config.k8s.io/v1", "kind": kind, "staticManifestsDir": folder + "/" + sub,
		}}
	}
	return map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
		"plugins": []any{
			plugin("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyConfiguration", validating),
			plugin("MutatingAdmissionPolicy", "MutatingAdmissionPolicyConfiguration", mutating),
		},
	}
}
