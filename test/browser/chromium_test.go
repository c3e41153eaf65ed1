package browser

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromiumPath is the variable that names a Chromium of one's own.
const chromiumPath = "MAODIAN_CHROMIUM"

// findChromium returns the browser. The tests fail without one: a page that nobody looked at is not tested.
func findChromium(t *testing.T) string {
	t.Helper()
	name := os.Getenv(chromiumPath)
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("no %s: run `go run ./hack/cluster deps --for tests` as root, which installs Debian's chromium and a Chinese font, "+
			"or name the program of a Chromium in %s", name, chromiumPath)
	}
	return path
}

// startChromium starts a browser that knows the given hosts and no others, and ends it with the test.
func startChromium(t *testing.T, hosts map[string]string) context.Context {
	t.Helper()
	var rules []string
	for host, address := range hosts {
		rules = append(rules, fmt.Sprintf("MAP %s:443 %s", host, address))
	}
	slices.Sort(rules)
	rules = append(rules, "MAP * ~NOTFOUND")
	var output bytes.Buffer
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(findChromium(t)), chromedp.CombinedOutput(&output),
		chromedp.DisableGPU, chromedp.IgnoreCertErrors, chromedp.Flag("host-resolver-rules", strings.Join(rules, ", ")),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-domain-reliability", true),
		chromedp.Flag("no-proxy-server", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("font-render-hinting", "none"),
	)
	if os.Geteuid() == 0 { // Chromium's sandbox refuses root, whom build machines are
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(end)
	browser, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(closeBrowser)
	impatient := time.AfterFunc(patience, closeBrowser)
	defer impatient.Stop()
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start Chromium: %v\n%s", err, &output)
	}
	return browser
}
