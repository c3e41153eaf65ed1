// Package crd holds the schemas of our kinds, for programs that judge a manifest without a
// cluster.
package crd

import "embed"

// Files are the CustomResourceDefinitions, in the folder bases.
//
//go:embed bases/*.yaml
var Files embed.FS
