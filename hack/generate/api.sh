#!/bin/sh
# Generates deepcopy functions, CRDs and apply configurations from the types in api/.
# Run it from the root of the repository; `make generate` does.
set -eu
export CGO_ENABLED=0

# Files of kinds that were renamed or removed must not linger.
rm -rf config/crd/bases internal/applyconfiguration
go tool -modfile=go.tools.mod controller-gen \
	object:headerFile=hack/boilerplate.go.txt \
	crd \
	applyconfiguration:headerFile=hack/boilerplate.go.txt \
	paths=./api/... \
	output:crd:artifacts:config=config/crd/bases
