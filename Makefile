GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
HELM        := go run helm.sh/helm/v3/cmd/helm@v3.22.0
# go vet has a step of its own, and would be built for the race detector once more. Most parallel
# tests wait for processes or leases, so more of them run at once than there may be processors.
TEST        := go test -count=1 -vet=off -parallel 4
FUZZTIME    ?= 60s
STRIDE      ?= 4
SCHEDULES   ?= 1000
SHOTS       ?=
# The packages whose code starts goroutines or shares state; make race RACED=./... checks all, for a quarter of an hour.
RACED       ?= ./bridge ./executor ./workers ./internal/broker ./internal/worker ./internal/consumer ./dqtest ./operate ./tracing ./metrics ./cmd/internal/... \
	./internal/ahead ./internal/api ./internal/codec ./internal/embedded ./internal/page ./internal/producer ./internal/runner ./internal/waits ./internal/watch
BENCH       := $(wildcard bench/go.mod)

.DEFAULT_GOAL := help
.PHONY: page help quick protocol clients soak test tools format vet race faults sim rest single valkey examples vuln lint fmt fuzz bench chaos fleet operate mutants man deploy build

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: ## the whole gate, in this order; CI runs the same. lint and sim compute while the others wait
	$(MAKE) -j1 tools format vet race
	$(MAKE) -j2 lint faults
	$(MAKE) -j2 sim rest
	$(MAKE) -j2 single valkey
	$(MAKE) -j1 examples

quick: ## the tests that need no server, in less than a minute
	$(TEST) -short ./bridge ./executor ./workers ./dqtest ./internal/... ./cmd/internal/cli ./cmd/internal/jobs ./cmd/internal/builtin
	$(TEST) -run 'Prose|Glossary|Retired|WordsOfNames|FileMap|ImportsPointDown|AreShort' ./integration

tools: ## install redis-server, GNU parallel, Python and curl if they are missing
	@redis-server --version 2>/dev/null || missing=redis-server; \
	parallel --version 2>/dev/null | grep '^GNU parallel' || missing="$$missing parallel"; \
	python3 --version 2>/dev/null || missing="$$missing python3"; \
	curl --version 2>/dev/null | head -1 | grep '^curl' || missing="$$missing curl"; \
	if [ -z "$$missing" ]; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y $$missing; \
	elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then \
		sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y $$missing; \
	elif command -v brew >/dev/null; then echo "missing: $$missing: run \"brew install redis parallel python curl\"" >&2; exit 1; \
	else echo "missing: $$missing: install them with your package manager, so that they are in PATH" >&2; exit 1; fi

format: ## fail where gofmt or go mod tidy would change something
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; } >&2
	go mod tidy -diff

vet: ## go vet; the texts of the mutants; the benchmarks have to build, as far as they use this module
	go vet ./...
	go vet -tags mutants ./integration/mutants
	go test -tags mutants -count=1 -run '^TestTextsOfMutants$$' ./integration/mutants
	$(if $(BENCH),cd bench && go build ./internal/rows ./internal/flow ./internal/process ./internal/table ./internal/target)

race: ## the tests of RACED under the race detector, on the embedded broker and on real Redis; what is one goroutine, all bytes or other processes is left to the others
	$(TEST) -race -p 4 $(RACED)
	$(TEST) -race -run 'Close|NilAndZero|Forged|IsNotConsumer' ./integration
	$(TEST) -race -run 'Filter$$|Wiring|Version' ./flow

faults: ## the commands; killed, stopped and cut off processes, in a short form, servers that restart, fail over and move slots, and what is left of all that came and went
	$(TEST) -p 3 ./integration ./integration/soak ./flow ./integration/topology ./integration/operate ./integration/chaos ./integration/fullmemory

sim: ## flows in virtual time, and in a model, with a fault at each place where one can be; make sim STRIDE=1 SCHEDULES=14000 takes minutes
	$(TEST) -timeout 20m ./integration/sim -stride $(STRIDE) -schedules $(SCHEDULES)
	$(TEST) ./integration/model

rest: ## the packages of which no other step has all tests, without the race detector
	$(TEST) -p 3 $$(go list ./... | grep -vxF "$$(go list $(RACED))" | grep -v -e '/integration$$' -e dqbridge/flow$$ -e '/integration/[^dl]')

single: ## on one processor, which finds other races, and with what the race detector was spared; of bridge, whose tests mostly wait, only that
	GOMAXPROCS=1 $(TEST) -p 3 ./internal/worker ./internal/consumer ./internal/broker
	GOMAXPROCS=1 $(TEST) -run 'TooLarge|EightMebibytes' ./bridge

valkey: ## the tests of the broker and of the executor on Valkey in place of Redis, but for the comparison with Redis 7.0 by the command; says so where there is none
	@dir=$$(sh internal/testkit/valkey.sh) || exit 1; \
	if [ -z "$$dir" ]; then echo "valkey: NOT CHECKED, there is no valkey-server in PATH"; \
	else PATH="$$dir:$$PATH" $(TEST) -skip '^TestRandomOrders$$' ./internal/broker ./executor; fi

fuzz: ## each fuzz target for a minute, or for FUZZTIME=10m; their seeds are tests like others
	@grep -rnoE --include='*_test.go' --exclude-dir=bench '^func Fuzz[A-Za-z0-9_]*' . | sort | \
	while IFS=: read -r file line name; do \
		name=$${name#func }; echo "go test -fuzz $$name $$(dirname "$$file")"; \
		go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null || exit 1; \
	done

examples: ## the documentation's examples, each by name, and the helper for functions in Python
	@grep -rlE --include='*_test.go' --exclude-dir=bench '^func Example' . | xargs -r -n1 dirname | sort -u | \
	xargs -r go test -count=1 -v -run '^Example'
	python3 -m unittest discover clients/python

clients: ## the helpers for functions in Python and in JavaScript, and the examples; needs node and python3-yaml
	python3 -m unittest discover clients/python
	node --test clients/node
	python3 -m unittest discover clients/examples

page: ## the pages in a real Chromium, which it installs if it is missing; SHOTS=docs/dashboard makes the pictures again
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-dejavu-core; }
	cd integration/browser && SHOTS=$(abspath $(SHOTS)) go test -count=1 -timeout 15m .

vuln: ## known vulnerabilities in what is called; says so where the database cannot be reached
	@if found=$$($(GOVULNCHECK) ./... 2>&1); then echo "$$found"; \
	elif echo "$$found" | grep -q 'fetching vulnerabilities:'; then \
		echo "govulncheck: NOT CHECKED, the vulnerability database cannot be reached from here"; \
	else echo "$$found" >&2; exit 1; fi

lint: ## the rules of .golangci.yml, staticcheck among them; the first run builds the linter, which takes a minute
	$(GOLANGCI) run ./...

fmt: ## format all Go files
	gofmt -w .

bench: ## measure, on a redis-server of its own
	cd bench && go run .

fleet: ## 150 of 160 workers die, and 200 end, with up to 3,000 stages: how long that takes and what it costs Redis
	go test -count=1 -timeout 20m -v -run '^(TestManyDeathsAtOnce|TestFleetEndsAtOnce)$$' ./integration/chaos -long

operate: ## what operators see, on real processes for a quarter of an hour: where items are while workers die, numbers at rest, a million failures, screens in tmux, which it installs if it is missing
	@command -v tmux >/dev/null || { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends tmux; }
	go test -tags tmux -count=1 -timeout 30m -v -run '^TestPlanted(BottleneckIsNamed|StandstillIsExplained|ItemsAreFound|NumbersAddUp|FailuresAreGrouped|FlowsFitTerminal)$$' ./integration/operate -long

chaos: ## faults on real processes for a quarter of an hour, and their table; then in virtual time
	go test -count=1 -timeout 60m -v -run '^TestChaos$$' ./integration/chaos -long
	go test -count=1 -timeout 60m -v ./integration/sim -stride 1 -schedules 60000

soak: ## many thousands of processes, flows and sources come and go, in virtual time and as processes; what is left is compared
	go test -count=1 -timeout 60m -v -run '^TestYearInVirtualTime$$' ./integration/soak -rounds 300
	go test -count=1 -timeout 90m -v -run '^TestYearOfProcesses$$' ./integration/soak -visits 1500 -long

mutants: ## break the protocol one rule at a time; a test has to notice each
	go test -tags mutants -count=1 -timeout 60m -v -run '^TestMutants$$' ./integration/mutants

protocol: ## docs/protocol.json and docs/protocol/constants.md, from the heads of the scripts and the constants of the code
	go test -count=1 -run '^TestProtocolFilesAreFresh$$' ./internal/broker -update

man: ## the man pages in deploy/man, from the flags and verbs of the commands
	go run ./cmd/dqbridge man >deploy/man/dqbridge.1
	go run ./cmd/dqworker --man >deploy/man/dqworker.1

deploy: ## check the files of deploy/: alerts by promtool, man pages, systemd units, Helm chart and Compose file; what is missing here is named
	@tool=$$(sh deploy/promtool.sh) && text=$$(mktemp) && trap 'rm -f "$$text"' EXIT && \
	go test -count=1 -run '^TestExposition$$' ./metrics -exposition "$$text" && \
	"$$tool" check metrics <"$$text" && "$$tool" check rules deploy/alerts.yaml && "$$tool" test rules deploy/alerts_test.yaml
	@if command -v man >/dev/null; then for page in deploy/man/*.1; do \
		warnings=$$(man --warnings -E UTF-8 -l $$page 2>&1 >/dev/null); [ -z "$$warnings" ] || { echo "$$page: $$warnings" >&2; exit 1; }; done; \
	else echo "man: NOT CHECKED, there is no man"; fi
	@if command -v systemd-analyze >/dev/null; then sh deploy/check/units.sh; else echo "systemd: NOT CHECKED, there is no systemd-analyze"; fi
	@made=$$(mktemp -d) && trap 'rm -r "$$made"' EXIT && chart=deploy/helm/dqbridge && \
	needed="--set redis.secret=redis --set dashboard.tokenSecret=token" && \
	all="--set autoscaling.enabled=true --set autoscaling.functions={fast,slow} --set serviceMonitor.enabled=true --set prometheusRule.enabled=true --set dashboard.actions=true" && \
	$(HELM) lint --strict $$chart $$needed && \
	$(HELM) template one $$chart $$needed >"$$made/default.yaml" && $(HELM) template one $$chart $$needed $$all >"$$made/all.yaml" && \
	cd deploy/check && go run . manifests "$$made/default.yaml" "$$made/all.yaml" && go run . compose ../compose.yaml

build: ## both commands as static binaries in bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...
