// Command workload is what runs in the pods of the cluster's own end-to-end test.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Println("ERROR", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "get" {
		return get(args[1])
	}
	if len(args) == 2 && args[0] == "resolve" {
		addrs, err := net.LookupHost(args[1])
		fmt.Println(addrs)
		return err
	}
	return serve(os.Getenv("DATA_DIR"))
}

func get(url string) error {
	c := http.Client{Timeout: 2 * time.Second}
	res, err := c.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(os.Stdout, res.Body)
	return err
}

// serve answers with the number of times that it was started on this volume.
func serve(data string) error {
	file := filepath.Join(data, "starts")
	if data != "" {
		old, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(file, append(old, '|'), 0o600); err != nil {
			return err
		}
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		b, err := os.ReadFile(file)
		if data != "" && err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintf(w, "starts %d\n", len(b))
	})
	return (&http.Server{Addr: ":8080", ReadHeaderTimeout: time.Second}).ListenAndServe()
}
