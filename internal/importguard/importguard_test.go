package importguard

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/maodian-dev/maodian"

// rules say what the packages of a pattern must never depend upon, and why.
var rules = []struct{ packages, forbidden, why string }{
	{"/internal/domain/...", "k8s.io/", "legal rules are tested without Kubernetes"},
	{"/internal/domain/...", "database/sql", "the domain does no I/O"},
	{"/internal/domain/...", "net/http", "the domain does no I/O"},
	{"/internal/domain/...", module + "/internal/store", "arrows point to the domain"},
	{"/internal/store/...", "k8s.io/", "the data plane holds no cluster credentials"},
	{"/internal/dataplane/...", "k8s.io/", "the data plane holds no cluster credentials"},
	{"/cmd/maodian", "k8s.io/", "the data plane holds no cluster credentials"},
	{"/cmd/maodian", "sigs.k8s.io/controller-runtime", "the data plane holds no cluster credentials"},
	{"/cmd/maodian", module + "/api", "the data plane is configured by files"},
	{"/cmd/manager", "modernc.org/sqlite", "only the store opens the database"},
	{"/cmd/manager", module + "/internal/dataplane", "the operator sees numbers only"},
	{"/cmd/manager", module + "/internal/wechat", "the operator never speaks to WeChat"},
	{"/api/...", "sigs.k8s.io/controller-runtime", "importing our types stays cheap"},
	{"/internal/desired/...", "sigs.k8s.io/controller-runtime/pkg/client", "builders are pure"},
	{"/controllers/marketing/...", module + "/controllers/residency", "the two groups do not know each other"},
}

func TestImports(t *testing.T) {
	deps := map[string][]string{}
	for _, r := range rules {
		if _, ok := deps[r.packages]; !ok {
			out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+r.packages).Output()
			if err != nil {
				t.Fatalf("list %s: %v", r.packages, err)
			}
			deps[r.packages] = strings.Fields(string(out))
		}
		for _, d := range deps[r.packages] {
			if d == strings.TrimSuffix(r.forbidden, "/") || strings.HasPrefix(d, strings.TrimSuffix(r.forbidden, "/")+"/") {
				t.Errorf("%s depends on %s: %s", r.packages, d, r.why)
			}
		}
	}
}

// TestSDK_IsWrapped: only internal/wechat imports the SDK, and never its root package,
// which reconfigures logging for the whole process.
func TestSDK_IsWrapped(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for _, imp := range fields[1:] {
			if !strings.HasPrefix(imp, "github.com/silenceper/wechat") {
				continue
			}
			if fields[0] != module+"/internal/wechat" || imp == "github.com/silenceper/wechat/v2" {
				t.Errorf("%s imports %s", fields[0], imp)
			}
		}
	}
}
