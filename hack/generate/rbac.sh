#!/bin/sh
# Generates the manager's roles from the markers in controllers/ and cmd/manager, and what the chart
# takes from config/. Run it from the root of the repository; `make generate` does.
set -eu
export CGO_ENABLED=0
go tool -modfile=go.tools.mod controller-gen rbac:roleName=maodian-manager "paths={./controllers/...,./cmd/manager}" output:rbac:dir=config/rbac
go run ./hack/chartgen
