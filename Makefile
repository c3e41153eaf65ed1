# Maodian. `make help` lists the targets; `make demo` and `make test` are the two that a newcomer needs.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# One set of flags for every build here: another one would compile Kubernetes a second time.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false
GO ?= go
IMAGE := registry.maodian.test/maodian:dev
S3_IMAGE := registry.maodian.test/s3:dev
CLUSTER := bin/cluster
# go build says nothing for minutes when its cache is empty: count the packages.
COUNT := awk '/^[a-z0-9.]+\.[a-z]+\/|^[a-z]+$$|^[a-z]+\// {if (++n % 100 == 0) print "  ... " n " packages compiled"; next} {print}'
TOOL := $(GO) tool -modfile=go.tools.mod
LINT := bin/golangci-lint
KUBECONFIG_FILE := .dev/kubeconfig

##@ The two commands
.PHONY: demo test hello
hello:
	@echo "The first run builds Kubernetes and more from source: 10 to 25 minutes on 2 cores. Later runs take 3."
demo: hello cluster ## Tell the story on a real local cluster; a wrong figure makes it fail (needs root)
	@$(GO) build -o bin/demo ./hack/demo && bin/demo story --kubectl "$$($(CLUSTER) assets)/kubectl"
	@echo "The cluster is still there: export KUBECONFIG=$(KUBECONFIG_FILE); make demo-down removes it."
test: bin/cluster ## All tests, on a fresh machine too: installs Chromium; builds kube-apiserver, kube-scheduler and etcd where KUBEBUILDER_ASSETS is not set
	@$(CLUSTER) deps --for tests
	@assets="$${KUBEBUILDER_ASSETS:-$$($(CLUSTER) assets --for tests)}"; \
	export KUBEBUILDER_ASSETS="$$assets" MAODIAN_S3_SERVER="$${MAODIAN_S3_SERVER:-$$($(CLUSTER) assets --for tests)/versitygw}"; \
	mkdir -p dist; $(GO) test -vet=off -count=1 -shuffle=on -timeout=15m ./... 2>&1 | tee dist/test.log; \
	grep -q '^ok ' dist/test.log || { echo "no test was run"; exit 1; }

##@ Cluster
.PHONY: cluster cluster-down demo-down image programs
programs: bin/cluster # all at once: the image needs one of them, and one command builds them fastest
	@$(CLUSTER) deps
	@$(CLUSTER) build
cluster: programs image ## Start the local cluster with the manager installed; writes .dev/kubeconfig
	@$(CLUSTER) up --kubeconfig $(KUBECONFIG_FILE)
	@$(CLUSTER) load dist/maodian.tar dist/s3.tar
	@$(GO) build -o bin/demo ./hack/demo && bin/demo certs
	@programs="$$($(CLUSTER) assets)"; export KUBECONFIG=$(KUBECONFIG_FILE); \
	"$$programs/helm" upgrade --install maodian charts/maodian --namespace maodian-system --create-namespace \
	  --set-file dataPlane.extraCABundle=.dev/demo-ca.crt >/dev/null; \
	"$$programs/kubectl" -n maodian-system rollout restart deployment/maodian-manager >/dev/null; \
	"$$programs/kubectl" -n maodian-system rollout status deployment/maodian-manager --timeout=90s
cluster-down demo-down: bin/cluster ## Remove the local cluster and everything in it
	@$(CLUSTER) down
image: bin/cluster bin/manager bin/maodian ## Build the image (dist/maodian.tar), without Docker
	@mkdir -p dist
	@$(GO) run ./hack/image -o dist/maodian.tar -name $(IMAGE) -entrypoint /maodian -user 65532:65532 bin/maodian=/maodian bin/manager=/manager
	@$(GO) run ./hack/image -o dist/s3.tar -name $(S3_IMAGE) -entrypoint /versitygw -user 65532:65532 "$$($(CLUSTER) assets --for tests)/versitygw=/versitygw"

##@ Development
.PHONY: build generate manifests fmt lint verify bench test-race fuzz clean help
build: bin/manager bin/maodian bin/kubectl-maodian ## Build the binaries into bin/
.PHONY: bin/manager bin/maodian bin/kubectl-maodian bin/cluster
bin/manager bin/maodian bin/kubectl-maodian: bin/%:
	@mkdir -p bin; echo "Building $@"
	@$(GO) build -v -ldflags '-s -w' -o $@ ./cmd/$* 2>&1 | $(COUNT)
bin/cluster:
	@mkdir -p bin; echo "Building $@"
	@$(GO) build -v -o $@ ./hack/cluster 2>&1 | $(COUNT)
generate: ## Regenerate everything that is generated: RPC, deep copies, apply configurations, CRDs, RBAC, chart
	@$(GO) tool -modfile=go.proto.mod buf generate
	@hack/generate/api.sh
	@hack/generate/rbac.sh
fmt: ## Format
	@gofmt -w $$(git ls-files '*.go' | grep -v zz_generated)
$(LINT): go.tools.mod go.tools.sum
	@echo "Building the linter (some minutes the first time)"
	@mkdir -p bin
	@$(GO) build -v -modfile=go.tools.mod -o $@ sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter 2>&1 | $(COUNT)
lint: $(LINT) ## Lint the code, and the API types once more by kube-api-linter
	@$(LINT) run --config .golangci.yml ./...
	@$(LINT) run --config .golangci-kal.yml ./api/...
	@$(GO) tool -modfile=go.proto.mod buf lint
verify: generate fmt ## Generate, format, tidy, vet, lint: a dirty tree fails
	@$(GO) mod tidy
	@git diff --exit-code --stat || { echo "verify: the tree is dirty: commit what was generated or formatted"; exit 1; }
	@[ -z "$$(git ls-files --others --exclude-standard)" ] || { git ls-files --others --exclude-standard; echo "verify: untracked files"; exit 1; }
	@$(GO) vet ./...
	@$(MAKE) lint
bench: bin/cluster ## Benchmarks, as ratios in one run
	@$(GO) test -run '^$$' -bench . -benchtime 1s ./internal/domain/... ./internal/store/... ./internal/dataplane/... ./internal/wechat/...
	@export KUBEBUILDER_ASSETS="$${KUBEBUILDER_ASSETS:-$$($(CLUSTER) assets --for tests)}"; \
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 20m ./test/residency
test-race: ## The data plane's tests under the race detector (needs a C compiler; half an hour)
	@CGO_ENABLED=1 $(GO) test -race -short -timeout=60m -count=1 -shuffle=on ./internal/domain/... ./internal/store/... ./internal/dataplane/store/... ./internal/dataplane/dispatch/... ./internal/wechat/...
fuzz: ## Every fuzz target for 30 s
	@for d in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho '^func Fuzz[A-Za-z_]*' $$d/*_test.go | sed 's/^func //'); do $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 30s ./$$d; done; done
clean: ## Remove what was built here (the cache of Kubernetes stays)
	@rm -rf bin dist
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-zA-Z_ -]*:.*## / {printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
