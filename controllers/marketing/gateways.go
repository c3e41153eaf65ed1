package marketing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/maodian-dev/maodian/internal/desired"
)

// maxStatus bounds what a gateway may answer.
const maxStatus = 4 << 10

// HTTPGateways asks gateways over their health port.
type HTTPGateways struct{ client *http.Client }

// NewHTTPGateways returns a client that follows nothing and waits briefly.
func NewHTTPGateways() *HTTPGateways {
	return &HTTPGateways{client: &http.Client{
		Timeout:       3 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Status reads GET /status of one pod.
func (g *HTTPGateways) Status(ctx context.Context, podIP string) (GatewayStatus, error) {
	return g.read(ctx, "http://"+net.JoinHostPort(podIP, strconv.Itoa(desired.HealthPort))+"/status")
}

func (g *HTTPGateways) read(ctx context.Context, url string) (status GatewayStatus, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return status, fmt.Errorf("ask gateway: %w", err)
	}
	res, err := g.client.Do(req)
	if err != nil {
		return status, fmt.Errorf("ask gateway: %w", err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode != http.StatusOK {
		return status, fmt.Errorf("ask gateway: status %d", res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxStatus)).Decode(&status); err != nil {
		return GatewayStatus{}, fmt.Errorf("read answer of gateway: %w", err)
	}
	if status.Class == "" {
		return GatewayStatus{}, errors.New("read answer of gateway: no class in it")
	}
	return status, nil
}
