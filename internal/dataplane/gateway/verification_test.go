package gateway

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
)

func TestVerification(t *testing.T) {
	r := newRig(t)
	r.files = fstest.MapFS{
		"MP_verify_aB3dE5fG7hJ9kL1m.txt": {Data: []byte("aB3dE5fG7hJ9kL1m\n")},
		"MP_verify_odd.txt":              {Data: []byte("<script>")},
		"appSecret":                      {Data: []byte("0123456789abcdef0123456789abcdef")},
		"dir/MP_verify_x.txt":            {Data: []byte("x")},
	}
	r.handler = r.replica()
	for name, c := range map[string]struct {
		path string
		code int
		body string
	}{
		"the file that the console handed out": {"/MP_verify_aB3dE5fG7hJ9kL1m.txt", http.StatusOK, "aB3dE5fG7hJ9kL1m\n"},
		"another file of the kind":             {"/MP_verify_other.txt", http.StatusNotFound, ""},
		"a file that is none of the console's": {"/MP_verify_odd.txt", http.StatusInternalServerError, ""},
		"a credential":                         {"/appSecret", http.StatusNotFound, ""},
		"a credential behind the name":         {"/MP_verify_..%2FappSecret.txt", http.StatusNotFound, ""},
		"a file below":                         {"/dir/MP_verify_x.txt", http.StatusNotFound, ""},
	} {
		w := r.do(c.path, nil)
		if w.Code != c.code || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "0123456789abcdef") || strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	if r.files, r.handler = nil, newRig(t).handler; r.do("/MP_verify_a.txt", nil).Code != http.StatusNotFound {
		t.Error("a gateway without files serves one")
	}
}
