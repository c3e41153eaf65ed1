package desired

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/dataplane/aggregate"
	"github.com/maodian-dev/maodian/internal/dataplane/dispatch"
	"github.com/maodian-dev/maodian/internal/dataplane/gateway"
	"github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/dataplane/transfer"
	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// TestTheDataPlaneReadsWhatTheManagerWrites: the two sides share no types on purpose, so
// this is where they meet.
func TestTheDataPlaneReadsWhatTheManagerWrites(t *testing.T) {
	written := children(t)
	for name, reader := range map[string]interface{ Validate() error }{

		"store": &store.Config{}, "store-counting": &store.Config{}, "gateway": &gateway.Config{}, "dispatch": &dispatch.Config{}, "transfer": &transfer.Config{},
		"aggregate": &aggregate.Config{},
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

// TestAManifestNamesItsRecipient: the transfer works without the name, so that nothing but
// the manifest would tell that it is lost.
func TestAManifestNamesItsRecipient(t *testing.T) {
	var c transfer.Config
	if err := yaml.UnmarshalStrict([]byte(configOf(t, children(t)["transfer"])), &c); err != nil {
		t.Fatal(err)
	}
	if c.Recipient != "acme-group" {
		t.Errorf("recipient = %q", c.Recipient)
	}
}

// TestAGatewayAnswersWhereTheStatusSays: people enter the path in the platform's console.
func TestAGatewayAnswersWhereTheStatusSays(t *testing.T) {
	h, err := gateway.NewHandler(gateway.Options{
		Account: "brand", AppID: "wx0123456789abcdef", Log: slog.New(slog.DiscardHandler),
		Credentials: gateway.Credentials{
			AppSecret: subject.NewSecret("0123456789abcdef0123456789abcdef"), Token: subject.NewSecret("token"),
			EncodingAESKey: subject.NewSecret("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, CallbackPath, http.NoBody))
	if w.Code == http.StatusNotFound {
		t.Errorf("%s is not found", CallbackPath)
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
