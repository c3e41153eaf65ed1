package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun_RefusesBadCommandLines(t *testing.T) {
	t.Setenv("MAODIAN_STATE", filepath.Join(t.TempDir(), "state"))
	bad := filepath.Join(t.TempDir(), "nodes.yaml")
	if err := os.WriteFile(bad, []byte("nodes: [{name: a, region: r, zone: z, color: red}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no command":                     {nil, "usage:"},
		"an unknown command":             {[]string{"start"}, `unknown command "start"`},
		"build for an unknown purpose":   {[]string{"build", "--for", "fun"}, `"fun" is none of`},
		"deps for an unknown purpose":    {[]string{"deps", "--for", "fun"}, `"fun" is none of`},
		"build with a stray word":        {[]string{"build", "etcd"}, `build takes no "etcd"`},
		"up with an unknown flag":        {[]string{"up", "--nodes", "3"}, "not defined"},
		"up with a name that is no name": {[]string{"up", "--name", "../x"}, "--name"},
		"up with a config that is wrong": {[]string{"up", "--config", bad}, `unknown field "color"`},
		"up with a config that is gone":  {[]string{"up", "--config", bad + "?"}, "read cluster config"},
		"load without an image":          {[]string{"load"}, "no image archive"},
		"exec without a command":         {[]string{"exec"}, "no command"},
		"status of no cluster":           {[]string{"status"}, "no cluster is up"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout bytes.Buffer
			err := run(t.Context(), c.args, &stdout, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout = %q", stdout.String())
			}
		})
	}
}

func TestRun_Help(t *testing.T) {
	var stdout bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &stdout, &bytes.Buffer{}); err != nil || stdout.String() != usage {
		t.Errorf("help = %q, %v", stdout.String(), err)
	}
}
