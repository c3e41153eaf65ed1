package ledger

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// CachedLevel is the lowest level of the tree whose complete nodes an engine keeps: one for
// every 16 entries. Below it nodes are computed from at most 8 leaves.
const CachedLevel = 4

// Ranges makes compact ranges with the hash of RFC 6962.
var Ranges = compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// Fetch returns the hash of a complete node of the tree.
type Fetch func(compact.NodeID) ([]byte, error)

// Root computes the root of the first size entries.
func Root(size uint64, fetch Fetch) ([]byte, error) {
	if size == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	hashes, err := fetchAll(compact.RangeNodes(0, size, nil), fetch)
	if err != nil {
		return nil, err
	}
	r, err := Ranges.NewRange(0, size, hashes)
	if err != nil {
		return nil, fmt.Errorf("compute root: %w", err)
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		return nil, fmt.Errorf("compute root: %w", err)
	}
	return root, nil
}

// RootOf returns the root of a range that begins at the first entry.
func RootOf(r *compact.Range) ([]byte, error) {
	if r.End() == 0 {
		return rfc6962.DefaultHasher.EmptyRoot(), nil
	}
	root, err := r.GetRootHash(nil)
	if err != nil {
		return nil, fmt.Errorf("compute root: %w", err)
	}
	return root, nil
}

// Inclusion proves that the tree of the first size entries has the entry of this number.
func Inclusion(seq, size uint64, fetch Fetch) ([][]byte, error) {
	n, err := proof.Inclusion(seq, size)
	if err != nil {
		return nil, fmt.Errorf("prove inclusion: %w", err)
	}
	return prove(n, fetch)
}

// Consistent checks that the second checkpoint continues the first, by a proof from the nodes.
func Consistent(first, second Checkpoint, fetch Fetch) error {
	n, err := proof.Consistency(first.Size, second.Size)
	if err != nil {
		return fmt.Errorf("prove consistency: %w", err)
	}
	hashes, err := prove(n, fetch)
	if err != nil {
		return err
	}
	if first.Size == 0 { // the empty tree is the beginning of every other
		return nil
	}
	if err := proof.VerifyConsistency(rfc6962.DefaultHasher, first.Size, second.Size, hashes, first.Root, second.Root); err != nil {
		return mismatch(0, first.Size)
	}
	return nil
}

// Included checks an inclusion proof against a checkpoint.
func Included(e *Entry, hashes [][]byte, c Checkpoint) error {
	if e.Seq >= c.Size || proof.VerifyInclusion(rfc6962.DefaultHasher, e.Seq, c.Size, e.Hash, hashes, c.Root) != nil {
		return &Fault{Word: NotIncluded, Entry: int64(e.Seq), Message: fmt.Sprintf("the proof does not lead from entry %d to the checkpoint", e.Seq)}
	}
	return nil
}

func prove(n proof.Nodes, fetch Fetch) ([][]byte, error) {
	hashes, err := fetchAll(n.IDs, fetch)
	if err != nil {
		return nil, err
	}
	out, err := n.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	if err != nil {
		return nil, fmt.Errorf("compute proof: %w", err)
	}
	return out, nil
}

func fetchAll(ids []compact.NodeID, fetch Fetch) ([][]byte, error) {
	out := make([][]byte, 0, len(ids))
	for _, id := range ids {
		h, err := fetch(id)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}
