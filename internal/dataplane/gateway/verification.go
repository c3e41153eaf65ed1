package gateway

import (
	"errors"
	"io/fs"
	"net/http"
	"regexp"
)

// WeChat's console checks the domain of web authorisation (网页授权域名) by a file that it
// hands out: a name with letters and digits, which the file repeats.
var (
	verificationName = regexp.MustCompile(`^MP_verify_[A-Za-z0-9]{1,64}\.txt$`)
	verificationText = regexp.MustCompile(`^[A-Za-z0-9]{1,64}\s*$`)
)

// verification serves that file at the root of the domain. Beside it lie credentials, so
// name and content must both have the form.
func (h *handler) verification(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	text, err := []byte(nil), fs.ErrNotExist
	if h.Files != nil && verificationName.MatchString(name) {
		text, err = fs.ReadFile(h.Files, name)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		ended(w, problemAbsent)
		http.NotFound(w, r)
	case err != nil || !verificationText.Match(text):
		h.writeError(w, r, problemInternal, nil)
	default:
		answer(w, string(text))
	}
}
