// Package provisioner makes volumes of the local cluster: a folder on the disk of the node that the scheduler chose,
// as a PersistentVolume which only that node, in its region and zone, can mount. It refuses nodes outside the class's
// allowedTopologies again, although the scheduler has looked at them before.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"

	"github.com/maodian-dev/maodian/hack/cluster/internal/manifest"
)

// nodeAnnotation tells Delete where a volume's folder is.
const nodeAnnotation = manifest.StorageProvisioner + "/node"

// Provisioner implements controller.Provisioner.
type Provisioner struct {
	client kubernetes.Interface
	root   string // holds one folder for each node
}

// New returns a provisioner whose volumes lie at root/NODE/pv.
func New(client kubernetes.Interface, root string) *Provisioner {
	return &Provisioner{client: client, root: root}
}

// Run serves claims until ctx ends.
func (p *Provisioner) Run(ctx context.Context) {
	controller.NewProvisionController(ctx, p.client, manifest.StorageProvisioner, p, controller.LeaderElection(false)).Run(ctx)
}

// Provision makes the folder and returns its volume.
func (p *Provisioner) Provision(ctx context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if o.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished, errors.New("the class must use WaitForFirstConsumer")
	}
	node, err := p.client.CoreV1().Nodes().Get(ctx, o.SelectedNodeName, metav1.GetOptions{})
	if err != nil {
		return nil, controller.ProvisioningNoChange, fmt.Errorf("get node: %w", err)
	}
	if !allows(o.StorageClass.AllowedTopologies, node.Labels) {
		return nil, controller.ProvisioningReschedule, fmt.Errorf("node %s is outside the topologies of class %s", node.Name, o.StorageClass.Name)
	}
	pv, err := p.volume(node, o)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// fsGroup of the pod opens the folder to its user
	if err := os.MkdirAll(pv.Spec.Local.Path, 0o770); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("create volume folder: %w", err)
	}
	return pv, controller.ProvisioningFinished, nil
}

// Delete removes the folder of a volume whose class does not retain it.
func (p *Provisioner) Delete(_ context.Context, pv *corev1.PersistentVolume) error {
	node := pv.Annotations[nodeAnnotation]
	if node == "" || filepath.Base(node) != node || filepath.Base(pv.Name) != pv.Name {
		return fmt.Errorf("volume %s does not name its node", pv.Name)
	}
	if err := os.RemoveAll(p.dir(node, pv.Name)); err != nil {
		return fmt.Errorf("remove volume folder: %w", err)
	}
	return nil
}

func (p *Provisioner) dir(node, volume string) string {
	return filepath.Join(p.root, node, "pv", volume)
}

func (p *Provisioner) volume(node *corev1.Node, o controller.ProvisionOptions) (*corev1.PersistentVolume, error) {
	var pinned []corev1.NodeSelectorRequirement
	for _, key := range []string{corev1.LabelTopologyRegion, corev1.LabelTopologyZone, corev1.LabelHostname} {
		value, ok := node.Labels[key]
		if !ok {
			return nil, fmt.Errorf("node %s has no label %s", node.Name, key)
		}
		pinned = append(pinned, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}})
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        o.PVName,
			Labels:      map[string]string{corev1.LabelTopologyRegion: node.Labels[corev1.LabelTopologyRegion], corev1.LabelTopologyZone: node.Labels[corev1.LabelTopologyZone]},
			Annotations: map[string]string{nodeAnnotation: node.Name},
		},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: p.dir(node.Name, o.PVName)}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: pinned}},
			}},
		},
	}, nil
}

// allows tells whether the labels satisfy one of the terms; no term allows every node.
func allows(terms []corev1.TopologySelectorTerm, labels map[string]string) bool {
	if len(terms) == 0 {
		return true
	}
	return slices.ContainsFunc(terms, func(t corev1.TopologySelectorTerm) bool {
		return !slices.ContainsFunc(t.MatchLabelExpressions, func(e corev1.TopologySelectorLabelRequirement) bool {
			return !slices.Contains(e.Values, labels[e.Key])
		})
	})
}

var _ controller.Provisioner = (*Provisioner)(nil)
