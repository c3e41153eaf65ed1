package desired

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/maodian-dev/maodian/internal/identity"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// The configuration files of the data plane, as its parts read them. They are written out
// here rather than imported: the manager must not link the data plane.
type (
	storeConfig struct {
		Namespace    string         `json:"namespace"`
		Name         string         `json:"name"`
		Listen       string         `json:"listen"`
		HealthListen string         `json:"healthListen"`
		DataDir      string         `json:"dataDir"`
		LedgerID     string         `json:"ledgerID"`
		CreateLedger bool           `json:"createLedger"`
		KeyFile      string         `json:"keyFile"`
		Algorithm    string         `json:"algorithm"`
		TLS          identity.Files `json:"tls"`

		CountingKeyFile string `json:"countingKeyFile,omitempty"`
		PeersDir        string `json:"peersDir,omitempty"`
	}

	gatewayConfig struct {
		Account          string             `json:"account"`
		AppID            string             `json:"appID"`
		Hosts            []string           `json:"hosts"`
		Listen           string             `json:"listen"`
		HealthListen     string             `json:"healthListen"`
		Store            storeclient.Config `json:"store"`
		TLS              identity.Files     `json:"tls"`
		CredentialsDir   string             `json:"credentialsDir"`
		ExtraCAFile      string             `json:"extraCAFile,omitempty"`
		WithdrawKeywords []string           `json:"withdrawKeywords"`
		Templates        []string           `json:"templates,omitempty"`
		PublicHost       string             `json:"publicHost,omitempty"`
	}

	dispatchConfig struct {
		Account        string                `json:"account"`
		AppID          string                `json:"appID"`
		Hosts          []string              `json:"hosts"`
		RunID          string                `json:"runID"`
		Campaign       string                `json:"campaign"`
		Store          storeclient.Config    `json:"store"`
		TLS            identity.Files        `json:"tls"`
		CredentialsDir string                `json:"credentialsDir"`
		ExtraCAFile    string                `json:"extraCAFile,omitempty"`
		Channel        string                `json:"channel"`
		Subscription   *SubscriptionTemplate `json:"subscription,omitempty"`
		Workers        int                   `json:"workers"`
	}

	transferConfig struct {
		TransferID     string             `json:"transferID"`
		Name           string             `json:"name"`
		Recipient      string             `json:"recipient"` // named in the manifest
		Format         string             `json:"format"`
		Fields         []string           `json:"fields"`
		EncryptFor     []string           `json:"encryptFor,omitempty"`
		Limits         TransferLimits     `json:"limits,omitzero"`
		Store          storeclient.Config `json:"store"`
		TLS            identity.Files     `json:"tls"`
		CredentialsDir string             `json:"credentialsDir"`
		ExtraCAFile    string             `json:"extraCAFile,omitempty"`
		Destination    Destination        `json:"destination"`
	}

	aggregateConfig struct {
		TransferID     string             `json:"transferID"`
		Name           string             `json:"name"`
		Recipient      string             `json:"recipient"` // named in the manifest
		Format         string             `json:"format"`
		Aggregates     []string           `json:"aggregates"`
		EncryptFor     []string           `json:"encryptFor,omitempty"`
		Store          storeclient.Config `json:"store"`
		TLS            identity.Files     `json:"tls"`
		CredentialsDir string             `json:"credentialsDir"`
		ExtraCAFile    string             `json:"extraCAFile,omitempty"`
		Destination    Destination        `json:"destination"`
	}
)

// SubscriptionTemplate is a message by a template.
type SubscriptionTemplate struct {
	TemplateID string            `json:"templateID"`
	Page       string            `json:"page,omitempty"`
	Data       map[string]string `json:"data"`
}

func files() identity.Files {
	return identity.Files{CertFile: tlsPath + "/tls.crt", KeyFile: tlsPath + "/tls.key", CAFile: tlsPath + "/ca.crt"}
}

// StoreAddress is where a store answers.
func StoreAddress(namespace, name string) storeclient.Config {
	return storeclient.Config{Address: fmt.Sprintf("https://%s.%s.svc:%d", name, namespace, StorePort), Namespace: namespace, Name: name}
}

func (p Platform) extraCAFile() string {
	if !p.ExtraCA {
		return ""
	}
	return caPath + "/ca.crt"
}

// configMap renders a configuration file and the hash over it.
func configMap(o Owner, c Component, name string, config any) (*corev1ac.ConfigMapApplyConfiguration, string, error) {
	text, err := yaml.Marshal(config)
	if err != nil {
		return nil, "", fmt.Errorf("render configuration of %s: %w", c, err)
	}
	sum := sha256.Sum256(text)
	cm := corev1ac.ConfigMap(name, o.Namespace).WithLabels(Labels(c, o.Name)).WithOwnerReferences(o.reference()).
		WithData(map[string]string{"config.yaml": string(text)})
	return cm, hex.EncodeToString(sum[:8]), nil
}
