// Package e2e tries the local cluster for real: as root, with real containers, in about two minutes. It is not part of
// the unit tests; run it by hand after a change in hack/cluster:
//
//	go test -tags cluster ./hack/cluster/e2e
//
// It uses a state folder of its own, so a cluster that is up is not disturbed.
package e2e
