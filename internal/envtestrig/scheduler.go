package envtestrig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const schedulerUser = "system:kube-scheduler"

// Scheduler is a Setup that runs the real kube-scheduler, with the rights that Kubernetes
// gives to it, until the tests end. Where they fail, its log is shown.
func Scheduler(r *Rig) (stop func() error, err error) {
	program := filepath.Join(os.Getenv(assets), "kube-scheduler")
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("%s names a folder without kube-scheduler: unset it and use `make test`, which builds one: %w", assets, err)
	}
	s := &scheduler{ended: make(chan struct{})}
	if s.dir, err = os.MkdirTemp("", "scheduler-"); err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	if err := s.start(r, program); err != nil {
		return nil, errors.Join(fmt.Errorf("start kube-scheduler: %w", err), os.RemoveAll(s.dir))
	}
	if err := s.decides(r); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for kube-scheduler: %w", err), s.stop(true))
	}
	return func() error { return s.stop(r.failed) }, nil
}

// scheduler is a kube-scheduler that runs.
type scheduler struct {
	dir    string // with its credentials
	cancel context.CancelFunc
	ended  chan struct{} // closed once it has ended; err and log may be read from then on
	err    error
	log    lastWords
}

func (s *scheduler) start(r *Rig, program string) error {
	user, err := r.servers.AddUser(envtest.User{Name: schedulerUser}, nil)
	if err != nil {
		return fmt.Errorf("sign certificate: %w", err)
	}
	credentials, err := user.KubeConfig()
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, credentials, 0o600); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	// it serves nobody, and no other one competes with it
	cmd := exec.CommandContext(ctx, program, "--kubeconfig="+kubeconfig, "--leader-elect=false", "--secure-port=0", "--v=2") //nolint:gosec // the folder is the developer's own
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	go func() {
		_ = cmd.Wait() // the state says all
		s.err = fmt.Errorf("kube-scheduler ended by itself: %s", cmd.ProcessState)
		close(s.ended)
	}()
	return nil
}

// decides waits until the scheduler has said of a pod that no node takes it.
func (s *scheduler) decides(r *Rig) error {
	ctx := context.Background()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "which-no-node-takes"},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{corev1.LabelHostname: "nowhere"},
			Containers:   []corev1.Container{{Name: "c", Image: "registry.maodian.test/x"}},
		},
	}
	if err := r.Client.Create(ctx, p); err != nil {
		return err
	}
	err := wait.PollUntilContextTimeout(ctx, interval, Soon, true, func(ctx context.Context) (bool, error) {
		select {
		case <-s.ended:
			return false, s.err
		default:
		}
		err := r.Client.Get(ctx, client.ObjectKeyFromObject(p), p)
		return err == nil && Unplaced(p), err
	})
	return errors.Join(err, r.Client.Delete(ctx, p, client.GracePeriodSeconds(0)))
}

// Unplaced tells whether the scheduler has tried a pod and found no node for it.
func Unplaced(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return p.Spec.NodeName == "" && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
		}
	}
	return false
}

// stop ends the scheduler, and shows its log if it must; it is an error if it has ended before.
func (s *scheduler) stop(show bool) (err error) {
	select {
	case <-s.ended:
		err = s.err
	default:
	}
	s.cancel()
	<-s.ended
	if err != nil || show {
		fmt.Fprintf(os.Stderr, "the end of kube-scheduler's log:\n%s", s.log.String())
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
