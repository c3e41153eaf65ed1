// Package cgroup makes and removes a cluster's own branch in every cgroup hierarchy, of version 1 and of version 2.
// It touches no group that it has not made. Version 2 has not been tried on a real machine yet.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Root is where Linux distributions mount the hierarchies.
const Root = "/sys/fs/cgroup"

// Create makes the group branch/node in every hierarchy below root.
func Create(root, branch, node string) error {
	if controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers")); err == nil {
		return unified(root, branch, node, strings.Fields(string(controllers)))
	}
	hierarchies, err := hierarchies(root)
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		dir := filepath.Join(h, branch, node)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("create cgroup: %w", err)
		}
		// a new cpuset is empty, and takes no process until it is filled
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(h, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read cpuset: %w", err)
			}
			for _, d := range []string{filepath.Join(h, branch), dir} {
				if err := os.WriteFile(filepath.Join(d, name), value, 0o644); err != nil {
					return fmt.Errorf("fill cpuset: %w", err)
				}
			}
		}
	}
	return nil
}

// hierarchies are the version 1 hierarchies. "unified" is version 2 beside them, which holds no controller.
func hierarchies(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("list cgroup hierarchies: %w", err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "unified" {
			out = append(out, filepath.Join(root, e.Name()))
		}
	}
	return out, nil
}

func unified(root, branch, node string, controllers []string) error {
	dir := filepath.Join(root, branch, node)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create cgroup: %w", err)
	}
	for _, d := range []string{root, filepath.Join(root, branch), dir} {
		for _, c := range controllers {
			// a controller that cannot be delegated is missed by kubelet, with a better message than here
			_ = os.WriteFile(filepath.Join(d, "cgroup.subtree_control"), []byte("+"+c), 0o644)
		}
	}
	return nil
}

// Remove removes the branch from every hierarchy. It is an error if a process still lives there.
func Remove(root, branch string) error {
	if branch == "" || branch == "." || branch == ".." || filepath.Base(branch) != branch {
		return fmt.Errorf("remove cgroup: %q is no name", branch)
	}
	found, err := filepath.Glob(filepath.Join(root, "*", branch))
	if err != nil {
		return fmt.Errorf("find cgroups: %w", err)
	}
	var problems []error
	for _, b := range append(found, filepath.Join(root, branch)) {
		problems = append(problems, removeTree(b))
	}
	return errors.Join(problems...)
}

// removeTree removes folders from the leaves up; the files of a cgroup go with their folder.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && e.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list cgroups: %w", err)
	}
	for _, d := range slices.Backward(dirs) {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}
