package browser

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// smuggled is what somebody between the gateway and the phone could put into a page, and what would come of it.
const smuggled = `<script>document.documentElement.dataset.inline = 'ran'</script>
<script src="https://` + strangerHost + `/script.js"></script>
<img src="https://` + strangerHost + `/pixel.png" alt="" onerror="document.documentElement.dataset.handler = 'ran'">
<link rel="stylesheet" href="https://` + strangerHost + `/style.css">
<iframe src="https://` + strangerHost + `/frame"></iframe>
<p id="styled" style="position: fixed">.</p>
<form id="elsewhere" method="post" action="https://` + strangerHost + `/form"><button id="hijacked">.</button></form>
</main>`

// tamper puts that into every page. Pages that are asked for with ?naked also lose their policy, which shows that it is
// the policy that protects.
func tamper(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			if k != "Content-Security-Policy" || !r.URL.Query().Has("naked") {
				w.Header()[k] = v
			}
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(bytes.Replace(rec.Body.Bytes(), []byte("</main>"), []byte(smuggled), 1))
	})
}

// stranger is a host that pages have nothing to do with; it answers scripts and counts who asks.
func stranger(t *testing.T) (address string, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = w.Write([]byte("document.documentElement.dataset.foreign = 'ran'"))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), asked
}

// came is what came of the smuggled things.
const came = `(d => String([d.inline, d.foreign, d.handler, getComputedStyle(document.querySelector('#styled')).position]))(document.documentElement.dataset)`

// TestPolicy: what is smuggled into a page does not run, and nobody else hears of the reader.
func TestPolicy(t *testing.T) {
	w := newTown(t, tamper)
	t.Run("nothing smuggled runs or is loaded", func(t *testing.T) {
		p := w.phone(t, w.newcomer(t), "zh-CN")
		p.tampered = true
		p.open("/consent")
		if got := ask[string](p, came); got != ",,,static" {
			t.Errorf("the policy let through: %s", got)
		}
		p.tap("#hijacked")
		for _, what := range []string{"inline script", "/script.js", "inline event handler", "/style.css", "inline style", "/pixel.png", "Framing", "form-action"} {
			p.waitForComplaint(what)
		}
		if n := w.strangers.Load(); n != 0 || p.where() != "/consent" {
			t.Errorf("a stranger was asked %d times; the page is %s", n, p.where())
		}
	})
	t.Run("without the policy it would", func(t *testing.T) {
		p := w.phone(t, w.newcomer(t), "zh-CN")
		p.tampered = true
		p.open("/consent")
		p.open("/consent?naked")
		if got := ask[string](p, came); got != "ran,ran,ran,fixed" || w.strangers.Load() == 0 {
			t.Errorf("the test proves nothing: %s, a stranger was asked %d times", got, w.strangers.Load())
		}
	})
	t.Run("a phone without scripts runs none", func(t *testing.T) {
		p := w.phone(t, w.newcomer(t), "zh-CN", noScript)
		p.tampered = true
		p.open("/consent")
		p.open("/consent?naked")
		if got := ask[string](p, came); got != ",,,fixed" {
			t.Errorf("scripts ran: %s", got)
		}
	})
}
