package reason

import (
	"regexp"
	"testing"
)

func TestEveryCodeExplainsItself(t *testing.T) {
	form := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	for code, i := range Codes() {
		if !form.MatchString(string(code)) || i.Effect == "" || i.Says == "" || i.Remedy == "" {
			t.Errorf("%s is incomplete: %+v", code, i)
		}
	}
}

func TestUnknownCodeDenies(t *testing.T) {
	if got := Lookup("NoSuchCode").Effect; got != Deny {
		t.Errorf("Effect = %s, want Deny", got)
	}
}
