package desired

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/dataplane/dispatch"
	"github.com/maodian-dev/maodian/internal/dataplane/gateway"
	"github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/dataplane/transfer"
)

// TestTheDataPlaneReadsWhatTheManagerWrites: the two sides share no types on purpose, so
// this is where they meet.
func TestTheDataPlaneReadsWhatTheManagerWrites(t *testing.T) {
	written := children(t)
	for name, reader := range map[string]interface{ Validate() error }{
		"store": &store.Config{}, "gateway": &gateway.Config{}, "dispatch": &dispatch.Config{}, "transfer": &transfer.Config{},
	} {
		t.Run(name, func(t *testing.T) {
			if err := yaml.UnmarshalStrict([]byte(configOf(t, written[name])), reader); err != nil {
				t.Fatal(err)
			}
			if err := reader.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func configOf(t *testing.T, objects []runtime.ApplyConfiguration) string {
	t.Helper()
	for _, o := range objects {
		raw, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Kind string
			Data map[string]string
		}
		if err := json.Unmarshal(raw, &m); err == nil && m.Kind == "ConfigMap" {
			return m.Data["config.yaml"]
		}
	}
	t.Fatal("no ConfigMap")
	return ""
}
