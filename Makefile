# drover: `make run` shows it at work, `make test` proves it. Both install what they need and say so first.

BUILD_PACKAGES := libcurl4-openssl-dev libmicrohttpd-dev libgnutls28-dev libcrypt-dev libvirt-dev libsqlite3-dev zlib1g-dev pkg-config
RUN_PACKAGES   := $(BUILD_PACKAGES) qemu-system-x86
TEST_PACKAGES  := $(RUN_PACKAGES) prometheus prometheus-alertmanager systemd binutils util-linux procps python3 python3-prometheus-client \
                  python3-venv nghttp2-proxy openssl curl
LAB_PACKAGES   := $(TEST_PACKAGES) libvirt-daemon libvirt-clients iproute2 iptables socat etcd-server curl

# Of alerts and dashboards, besides.
BOARD_PACKAGES := prometheus-alertmanager python3-jsonschema python3-yaml

SWIFT  ?= swift
PREFIX ?= /usr/local
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
SOURCE := Package.swift Sources Tests
# From PyPI: Debian has no package of it.
SCHEMATHESIS := 4.32.5
PYTHON := .build/python-$(SCHEMATHESIS)

# Tests whose time-outs starve among a thousand others.
WEB    := MatrixTests|WebFileTests|SecretsTests|AlertStormTests|AlertRouteTests
FILES  := JournalTests|JournalKeeperTests|ServiceJournalTests|QEMUBackendTests

.PHONY: help run build install test api api-release test-boards boards pictures lab soak bench bench-libvirt bench-kube format format-check packages-run packages-test packages-lab packages-bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: packages-run ## install what is missing, build, and watch real QEMU guests migrate
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover
	.build/release/drover demo

build: ## release build only
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover

install: ## copy what `make build` built, and the systemd unit, to $(DESTDIR)$(PREFIX)
	install -D -m 755 .build/release/drover $(DESTDIR)$(PREFIX)/bin/drover
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/bin,$(PREFIX)/bin,' deploy/systemd/drover.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/drover.service

test: packages-test ## install what is missing, then all tests that need no root
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --skip ScenarioTests --skip EndToEndTests --skip LabTests --skip SoakTests --skip LibvirtBackendTests --skip InetDiagTests --skip KubernetesTests --skip CurlClientTests --skip MicroHTTPTests --skip '$(WEB)' --skip '$(FILES)'
	$(SWIFT) test --skip-build --filter 'KubernetesTests|CurlClientTests' # real servers, with time-outs
	$(SWIFT) test --skip-build --no-parallel --filter MicroHTTPTests # our own server, which has half a second to stop
	$(SWIFT) test --skip-build --filter '$(WEB)' # who may act
	$(SWIFT) test --skip-build --filter '$(FILES)' # the journal, killed and full, and QMP
	$(SWIFT) test --skip-build --filter 'LibvirtBackendTests|InetDiagTests' # the kernel and libvirt's test driver
	$(SWIFT) test --skip-build --filter ScenarioTests # real QEMUs, and nothing beside them
	$(SWIFT) test --skip-build --filter EndToEndTests # the executable from outside
	$(MAKE) api
	/usr/bin/python3 Tests/Boards/run.py # alerts and dashboards, on real Prometheuses and Alertmanagers

$(PYTHON)/bin/schemathesis:
	python3 -m venv $(PYTHON)
	$(PYTHON)/bin/pip install --quiet --disable-pip-version-check schemathesis==$(SCHEMATHESIS)

api: $(PYTHON)/bin/schemathesis ## the HTTP API against its own OpenAPI document (needs `swift build`)
	Tests/API/check.sh .build/debug/drover $(PYTHON)/bin/schemathesis

api-release: build $(PYTHON)/bin/schemathesis ## the same of the release build, which is what people run
	Tests/API/check.sh .build/release/drover $(PYTHON)/bin/schemathesis

test-boards: packages-test ## alerts and dashboards only
	$(SWIFT) build --product drover
	/usr/bin/python3 Tests/Boards/run.py

boards: ## write the dashboards, and the rules for the Prometheus Operator, anew
	dashboards/generate.py
	alerts/wrap.py

pictures: packages-test ## draw docs/pictures anew, from a demo
	@.ci/packages "$(SUDO)" python3-matplotlib
	$(SWIFT) build --product drover
	/usr/bin/python3 Tests/Boards/draw.py

lab: packages-lab ## post-copy, two libvirt hosts in namespaces, a real API server (root; builds that once, in 4 minutes)
	$(SUDO) env DROVER_KUBE_CACHE="$$DROVER_KUBE_CACHE" Tests/Lab/kube/build-apiserver.sh
	$(SUDO) env DROVER_KUBE_CACHE="$$DROVER_KUBE_CACHE" python3 Tests/Lab/kube/check-rights.py
	$(SWIFT) build --build-tests
	$(SUDO) env DROVER_LAB=1 DROVER_KUBE_CACHE="$$DROVER_KUBE_CACHE" PATH="$$PATH" $(SWIFT) test --skip-build --filter LabTests

soak: packages-lab ## what takes repetition: kills, healthy migrations, latencies (root); SOAK=kills, healthy, latency or noise for a part
	$(SUDO) env DROVER_KUBE_CACHE="$$DROVER_KUBE_CACHE" Tests/Lab/kube/build-apiserver.sh
	$(SWIFT) build --build-tests
	$(SUDO) env DROVER_SOAK=$(or $(SOAK),all) DROVER_KUBE_CACHE="$$DROVER_KUBE_CACHE" PATH="$$PATH" $(SWIFT) test --skip-build --no-parallel --filter SoakTests

bench: packages-run ## speed and memory as ratios, on this machine
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover-bench
	.build/release/drover-bench

bench-libvirt: packages-bench ## a libvirt host with 100 guests, beside prometheus-libvirt-exporter (root)
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover-bench
	$(SUDO) .build/release/drover-bench libvirt

bench-kube: packages-lab ## a real API server with 10,000 guests, 1,000 of which migrate (builds that once, in 4 minutes)
	$(SUDO) env DROVER_KUBE_CACHE="$$DROVER_KUBE_CACHE" Tests/Lab/kube/build-apiserver.sh
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover
	DROVER_REVISION=$(REVISION) $(SWIFT) build -c release --product drover-bench
	.build/release/drover-bench kube

format: ## format everything
	$(SWIFT) format --in-place --parallel --recursive --configuration .swift-format $(SOURCE)

format-check: ## fail where something is not formatted
	$(SWIFT) format lint --strict --parallel --recursive --configuration .swift-format $(SOURCE)

packages-run:
	@.ci/packages "$(SUDO)" $(RUN_PACKAGES)

packages-test:
	@.ci/packages "$(SUDO)" $(TEST_PACKAGES) $(BOARD_PACKAGES)

packages-lab:
	@.ci/packages "$(SUDO)" $(LAB_PACKAGES)

packages-bench:
	@.ci/packages "$(SUDO)" $(LAB_PACKAGES) prometheus-libvirt-exporter

clean: ## remove what was built
	rm -rf .build
