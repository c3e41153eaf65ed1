package browser

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/maodian-dev/maodian/internal/dataplane/gateway"
	dpstore "github.com/maodian-dev/maodian/internal/dataplane/store"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/pki"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
	"github.com/maodian-dev/maodian/internal/wechat"
	"github.com/maodian-dev/maodian/internal/wechat/twin"
	"github.com/maodian-dev/maodian/internal/wechat/twin/twintest"
)

// Names of the town; nothing outside it knows them.
const (
	namespace   = "brand-cn"
	storeName   = "brand-store"
	gatewayHost = "brand.example"
	wechatHost  = "open.weixin.qq.com"
	// strangerHost has a server, too: a page that asks it for anything gets an answer, and a test notices.
	strangerHost = "stranger.example"
)

// town is a brand with its gateway, its store and WeChat, and the people in it.
type town struct {
	t         *testing.T
	clock     *twin.VirtualClock
	ledger    store.Ledger
	platform  *twintest.Server
	gateway   *httptest.Server
	front     func(http.Handler) http.Handler // what stands before the gateway, if anything
	browser   context.Context                 // chromedp keeps the browser in a context
	log       bytes.Buffer
	people    chan int
	manager   *storeclient.Client
	strangers *atomic.Int64 // how often the stranger was asked
}

// newTown opens a town, with a browser for its phones. front stands before the gateway; nil lets everything through.
func newTown(t *testing.T, front func(http.Handler) http.Handler) *town {
	t.Helper()
	w := &town{t: t, clock: twin.NewVirtualClock(time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)), front: front, people: make(chan int, 1)}
	w.people <- 0
	w.platform = twintest.Start(t, twin.Settings{Clock: w.clock, Seed: 7})
	w.openGateway(w.openStore())
	var elsewhere string
	elsewhere, w.strangers = stranger(t)
	w.browser = startChromium(t, map[string]string{
		gatewayHost: w.gateway.Listener.Addr().String(), wechatHost: w.platform.Addr(), strangerHost: elsewhere,
	})
	return w
}

// openStore opens a ledger, serves it, and publishes the notice. It returns the gateway's door.
func (w *town) openStore() *storeclient.Client {
	w.t.Helper()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	w.ok(err)
	ledger, err := sqlite.Open(w.t.Context(), sqlite.Config{Dir: w.t.TempDir(), LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: w.clock.Now})
	w.ok(err)
	w.ledger = ledger
	ca, err := pki.NewAuthority("town", time.Now())
	w.ok(err)
	s := &dpstore.Server{Ledger: ledger, Namespace: namespace, Name: storeName, Log: slog.New(slog.DiscardHandler)}
	server := httptest.NewUnstartedServer(s.Handler())
	server.EnableHTTP2 = true
	src := w.certificate(ca, identity.Store, "")
	server.TLS = identity.Server(src)
	server.TLS.Certificates = []tls.Certificate{src.Pair}
	server.StartTLS()
	w.t.Cleanup(func() {
		server.Close()
		w.ok(ledger.Close())
	})
	door := func(kind identity.Kind, name string) *storeclient.Client {
		c := storeclient.New(w.certificate(ca, kind, name), storeclient.Config{Address: server.URL, Namespace: namespace, Name: storeName})
		w.t.Cleanup(c.Close)
		return c
	}
	w.manager = door(identity.Manager, "")
	w.publish(notice())
	return door(identity.Gateway, storetest.Account)
}

// publish pushes a notice to the store, as the manager does.
func (w *town) publish(n *storev1.Notice) {
	w.t.Helper()
	_, err := w.manager.Control.PushBundle(w.t.Context(), &storev1.PushBundleRequest{LedgerId: storetest.LedgerID, Bundle: &storev1.Bundle{
		IssuedAt: timestamppb.New(w.clock.Now()), ValidForSeconds: 600, Notice: n,
		Policy: &storev1.Policy{Name: "cn-mainland", CiioStatus: "No", GuardianConsentAge: 18, Processor: "acme-china"},
	}})
	w.ok(err)
}

func (w *town) certificate(ca pki.Pair, kind identity.Kind, name string) *identity.Static {
	w.t.Helper()
	leaf, err := pki.Issue(ca, identity.Role{Kind: kind, Namespace: namespace, Store: storeName, Name: name}, time.Now())
	w.ok(err)
	pair, err := tls.X509KeyPair(leaf.Cert, leaf.Key)
	w.ok(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Cert)
	return &identity.Static{Pair: pair, Roots: roots}
}

func (w *town) openGateway(door *storeclient.Client) {
	w.t.Helper()
	account, err := wechat.New(wechat.Config{
		Name: storetest.Account, AppID: twintest.AppID, AppSecret: subject.NewSecret(twintest.AppSecret), Hosts: []string{"sh.api.weixin.qq.com"},
		RootCAs: w.platform.RootCAs, DialContext: w.platform.DialContext, Clock: w.clock.Now,
	})
	w.ok(err)
	w.t.Cleanup(account.Close)
	h, err := gateway.NewHandler(gateway.Options{
		Account: storetest.Account, AppID: twintest.AppID, Intake: door.Intake, Platform: account, Clock: w.clock.Now,
		Credentials: gateway.Credentials{
			AppSecret: subject.NewSecret(twintest.AppSecret), Token: subject.NewSecret(twintest.CallbackToken),
			EncodingAESKey: subject.NewSecret(twintest.EncodingAESKey),
		},
		Log: slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	w.ok(err)
	if w.front != nil {
		h = w.front(h)
	}
	w.gateway = httptest.NewTLSServer(h)
	w.t.Cleanup(func() {
		w.gateway.Close()
		if w.log.Len() > 0 {
			w.t.Errorf("the gateway logged errors: %s", &w.log)
		}
	})
}

func (w *town) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newcomer is somebody whom nobody has asked anything yet.
func (w *town) newcomer(t *testing.T) subject.OpenID {
	t.Helper()
	n := <-w.people
	w.people <- n + 1
	who, err := w.platform.OpenID(n)
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// answers returns what the ledger holds of a person: the age band, and what was granted or refused.
func (w *town) answers(t *testing.T, who subject.OpenID) (age string, granted map[string]bool) {
	t.Helper()
	p, err := w.ledger.Preferences(t.Context(), storetest.Account, who)
	if err != nil {
		t.Fatal(err)
	}
	granted = map[string]bool{}
	for _, c := range p.Items {
		granted[value(c.Purpose, c.Recipient)] = c.Granted
	}
	return string(p.Age), granted
}

// value is how the form names a box.
func value(purpose, recipient string) string {
	if recipient == "" {
		return purpose
	}
	return purpose + "@" + recipient
}

// notice is that of config/samples, with one more recipient so that inland and abroad are both seen.
func notice() *storev1.Notice {
	return &storev1.Notice{
		Name: "brand-notice", Revision: 3, ProcessorName: "艾克美（中国）有限公司 Acme (China) Co. Ltd.", ProcessorContact: "privacy@acme.example",
		RetentionDays: 730, StoragePlace: "中国大陆 Mainland China",
		Rights:  map[string]string{"zh-CN": "您可随时在菜单“隐私设置”中查阅、更正、删除或撤回同意", "en": "View, correct, delete or withdraw at any time in the menu under Privacy"},
		Refusal: map[string]string{"zh-CN": "拒绝不影响您使用服务", "en": "Refusing does not affect the service"},
		Purposes: []*storev1.Purpose{
			{Name: direct, Description: map[string]string{"zh-CN": "向您推送活动与优惠信息", "en": "Send you offers and event invitations"}, Categories: []string{"WeChatOpenID", "InterestTag"}},
			{Name: personal, Description: map[string]string{"zh-CN": "根据您的互动为您推荐内容", "en": "Recommend content based on how you interact with us"}, Categories: []string{"WeChatOpenID", "InteractionEvent", "LeadScore"}},
		},
		Recipients: []*storev1.Recipient{
			{
				Name: "acme-group-crm", DisplayName: "Acme Group AG", Contact: "dpo@acme-group.example", Country: "CH", Purposes: []string{"GroupReporting"},
				Categories: []string{"PseudonymousID", "InterestTag", "LeadScore"}, RightsChannel: "https://acme-group.example/rights",
			},
			{
				Name: "courier", DisplayName: "迅达物流（上海）有限公司", Contact: "privacy@courier.example", Country: "CN", Purposes: []string{"OrderFulfilment"},
				Categories: []string{"ContactPhone", "PostalAddress"}, RightsChannel: "https://courier.example/privacy/your-rights-and-how-to-use-them",
			},
		},
	}
}

// Boxes of the notice.
const (
	direct   = "DirectMarketing"
	personal = "PersonalizedMarketing"
	abroad   = "GroupReporting@acme-group-crm"
	inland   = "OrderFulfilment@courier"
)
