// Package helm pins the Helm program that the development cluster is installed with.
package helm

import _ "helm.sh/helm/v4/pkg/cmd"
