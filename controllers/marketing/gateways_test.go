package marketing

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAGatewaysAnswerIsReadWithinBounds(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   GatewayStatus
		fails  bool
	}{
		"content":          {200, `{"platformCode":0,"class":"ok"}`, GatewayStatus{Class: "ok"}, false},
		"refused":          {200, `{"platformCode":40125,"class":"human"}`, GatewayStatus{40125, "human"}, false},
		"no class":         {200, `{}`, GatewayStatus{}, true},
		"not JSON":         {200, `<html>`, GatewayStatus{}, true},
		"far too long":     {200, `{"class":"` + strings.Repeat("x", 1<<20) + `"}`, GatewayStatus{}, true},
		"a code that lies": {200, `{"platformCode":99999999999,"class":"ok"}`, GatewayStatus{}, true},
		"not served":       {404, `{"class":"ok"}`, GatewayStatus{}, true},
		"sent elsewhere":   {302, ``, GatewayStatus{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer srv.Close()
			got, err := NewHTTPGateways().read(t.Context(), srv.URL+"/status")
			if (err != nil) != c.fails || got != c.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
