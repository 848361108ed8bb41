// Command check decodes the files of deploy strictly: manifests of Kubernetes into the types of its
// API, and the Compose file by the library of Compose. It needs neither a cluster nor an engine.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/cli"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// types has an empty object of each kind that the chart may have.
func types(kind string) any {
	switch kind {
	case "v1/ConfigMap":
		return new(core.ConfigMap)
	case "v1/Service":
		return new(core.Service)
	case "apps/v1/Deployment":
		return new(apps.Deployment)
	case "policy/v1/PodDisruptionBudget":
		return new(policy.PodDisruptionBudget)
	case "networking.k8s.io/v1/NetworkPolicy":
		return new(networking.NetworkPolicy)
	}
	return nil
}

// custom are kinds whose types are not in the API of Kubernetes: only their YAML is checked.
var custom = []string{
	"keda.sh/v1alpha1/ScaledObject", "keda.sh/v1alpha1/TriggerAuthentication",
	"monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule",
}

func main() {
	err := errors.New("usage: check manifests FILE... | check compose FILE")
	if len(os.Args) > 2 && os.Args[1] == "manifests" {
		err = manifests(os.Args[2:])
	}
	if len(os.Args) == 3 && os.Args[1] == "compose" {
		err = compose(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

// manifests decodes the documents of files, and prints the number of objects of each kind.
func manifests(paths []string) error {
	count := map[string]int{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for i, document := range bytes.Split(text, []byte("\n---\n")) {
			kind, err := manifest(document)
			if err != nil {
				return fmt.Errorf("%s: document %d, %s: %w", path, i, kind, err)
			}
			if kind != "" {
				count[kind]++
			}
		}
	}
	fmt.Println("check: manifests", count)
	return nil
}

// manifest decodes one document and returns its kind, "" if it is empty.
func manifest(document []byte) (string, error) {
	var object map[string]any
	if err := yaml.UnmarshalStrict(document, &object); err != nil || object == nil {
		return "", err
	}
	kind := fmt.Sprintf("%v/%v", object["apiVersion"], object["kind"])
	typed := types(kind)
	switch {
	case typed != nil:
		return kind, yaml.UnmarshalStrict(document, typed)
	case slices.Contains(custom, kind):
		return kind, nil
	}
	return kind, errors.New("it is no kind of this chart")
}

func compose(path string) error {
	options, err := cli.NewProjectOptions([]string{path})
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	fmt.Println("check: compose", project.ServiceNames())
	return nil
}
