// Package importguard holds a test only: it walks the real import graph, indirect imports
// included, and fails where an arrow points the wrong way.
package importguard
