// Package component builds the programs that the cluster runs, from the Go module proxy alone, into a cache outside
// the repository. It promises that a finished program is never built again while its module and the Go release stay
// the same, that an interrupted build leaves nothing half done, and that two builds at once do not disturb each other.
package component

import (
	"fmt"
	"slices"
	"strings"
)

// Component is one program and the recipe for it.
type Component struct {
	Name    string // also of the folder in the cache
	Module  string // folder of its module, below the tools folder
	Package string // import path, or "."
	Program string // file name
	LDFlags string // components of one module and the same flags are built by one command
	Test    bool   // also needed by tests that run no cluster
}

const kubernetesVersion = "v1.37.2"

// All are the components in the order of their building.
func All() []Component {
	const kubernetes = "k8s.io/kubernetes/cmd/"
	return []Component{
		shared("kube-apiserver", kubernetes, true), shared("kube-controller-manager", kubernetes, false),
		shared("kube-scheduler", kubernetes, true), shared("kubectl", kubernetes, false),
		shared("kubelet", kubernetes, false), shared("kube-proxy", kubernetes, false),
		shared("helm", "helm.sh/helm/v4/cmd/", false), shared("coredns", "./", false),
		{Name: "etcd", Module: "etcd", Package: ".", Program: "etcd", LDFlags: "-s -w", Test: true},
		{Name: "s3", Module: "s3", Package: "github.com/versity/versitygw/cmd/versitygw", Program: "versitygw", LDFlags: "-s -w", Test: true},
		{Name: "pause", Module: "pause", Package: ".", Program: "pause", LDFlags: "-s -w"},
	}
}

// shared is a program built upon Kubernetes' libraries: all of them stand in one module, and
// are built by one command. The flags set the version, or Kubernetes' own programs would call
// themselves v0.0.0.
func shared(name, from string, test bool) Component {
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	const at = " -X k8s.io/component-base/version."
	return Component{
		Name: name, Module: "k8s", Package: from + name, Program: name, Test: test,
		LDFlags: "-s -w" + at + "gitVersion=" + kubernetesVersion + at + "gitMajor=" + major + at + "gitMinor=" + minor + at + "gitTreeState=clean",
	}
}

// Select returns the components of a purpose: "tests", "cluster" or everything.
func Select(purpose string) ([]Component, error) {
	switch purpose {
	case "tests":
		return slices.DeleteFunc(All(), func(c Component) bool { return !c.Test }), nil
	case "cluster":
		return slices.DeleteFunc(All(), func(c Component) bool { return c.Name == "s3" }), nil
	case "all", "":
		return All(), nil
	}
	return nil, fmt.Errorf("%q is none of tests, cluster, all", purpose)
}
