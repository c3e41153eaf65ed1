package guard

import (
	"encoding/json"
	"fmt"

	arv1 "k8s.io/api/admissionregistration/v1"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

// staticSuffix ends the name of every policy that an API server loads from disk, and of no
// other (1.37).
const staticSuffix = ".static.k8s.io"

// Manifest is one object as a control plane loads it from disk.
type Manifest struct {
	// Folder is validating or mutating: the API server reads each kind from its own.
	Folder string
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
	objects := append(protection(newCompiler(p, o)), g.Objects...)
	var out []Manifest
	for _, object := range objects {
		if object.Kind == "NetworkPolicy" {
			continue
		}
		m, err := static(object)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func static(o Object) (Manifest, error) {
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
	folder := "validating"
	if o.Kind == "MutatingAdmissionPolicy" || o.Kind == "MutatingAdmissionPolicyBinding" {
		folder = "mutating"
	}
	return Manifest{Folder: folder, Name: name, Object: object}, nil
}

// protection lets the manager write the guard and nobody weaken it. Only a static policy is
// asked about policies.
func protection(c compiler) []Object {
	return c.validating(topic{
		name: "protection",
		resources: []rule{{"admissionregistration.k8s.io", []arv1.OperationType{arv1.Create, arv1.Update, arv1.Delete},
			[]string{"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"}}},
		// a request to delete a whole collection names no object
		conditions: []named{{"of-this-policy", "(request.operation == 'DELETE' ? oldObject : object).metadata.name.startsWith(" + quote(c.name("")) + ")"}},
		variables:  []named{{"attestor", c.attests()}, {"removes", "request.operation == 'DELETE'"}},
		checks: []check{
			{reason.GovernedNamespace, "variables.attestor || request.userInfo.username == " + quote(c.manager), "'the guard is written by the manager'"},
			{reason.GovernedNamespace, "!variables.removes || variables.attestor || " + boolean(len(c.marked) == 0), "'the guard of governed namespaces is removed by an attestor'"},
			{reason.GovernedNamespace, "variables.removes || !(request.resource.resource in ['validatingadmissionpolicies', 'mutatingadmissionpolicies']) || object.spec.failurePolicy == 'Fail'",
				"'`failurePolicy` of the guard must be Fail'"},
			{reason.GovernedNamespace, "variables.removes || request.resource.resource != 'validatingadmissionpolicybindings' || 'Deny' in object.spec.validationActions || variables.attestor",
				"'the guard must deny: an attestor may let it warn'"},
		},
	})
}

// Files are the texts of manifests, and of the configuration that loads them, by where they
// stand below folder.
func Files(folder string, manifests []Manifest) (map[string][]byte, error) {
	out := map[string][]byte{}
	add := func(path string, object any) error {
		text, err := json.MarshalIndent(object, "", "  ")
		if err != nil {
			return fmt.Errorf("render %s: %w", path, err)
		}
		out[path] = append(text, '\n')
		return nil
	}
	for _, m := range manifests {
		kind, _ := m.Object["kind"].(string)
		if err := add(m.Folder+"/"+m.Name+"."+kind+".json", m.Object); err != nil {
			return nil, err
		}
	}
	return out, add(ConfigurationFile, AdmissionConfiguration(folder))
}

// ConfigurationFile is what --admission-control-config-file names.
const ConfigurationFile = "admission.json"

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
			plugin("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyConfiguration", "validating"),
			plugin("MutatingAdmissionPolicy", "MutatingAdmissionPolicyConfiguration", "mutating"),
		},
	}
}
