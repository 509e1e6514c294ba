# What a person types. The work is in deploy/local (crate fiber-local); CI calls the same targets.
#
#   make up                 everything, with a simulated fleet
#   FLEET=0 make up         without the fleet
#   FIBER_PORT=8001 make up on another port
#   DB_HOST=… DB_PASS=… REDIS_URL=… make up      over servers of your own

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
export CARGO
LOCAL := $(CARGO_TARGET_DIR)/release/fiber-local
# One set of features for all: `-p` would compile most dependencies once more.
BUILD := $(CARGO) build --release --workspace
TEST := $(CARGO) test --release --workspace
BIN = $(BUILD) --bin $(1) && $(CARGO_TARGET_DIR)/release/$(1)

.DEFAULT_GOAL := help
# Every target is a command and none a file.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: local ## build, provision, start everything with a simulated fleet, print the URLs
	@$(LOCAL) up

down: local ## stop everything and verify that nothing is left
	@$(LOCAL) down

logs: local ## the last lines of all logs (FOLLOW=1 goes on)
	@$(LOCAL) logs $(if $(FOLLOW),--follow)

status: local ## what runs, and what the engine says
	@$(LOCAL) status

psql: local ## psql on the stack's database
	@$(LOCAL) psql

servers: local ## only database and Redis
	@$(LOCAL) servers

build: local ## engine, load generator and dashboard
	@$(LOCAL) build

test: local ## format, lints, and every test against the real servers
	$(CARGO) fmt --all --check
	@$(LOCAL) provision
	@$(LOCAL) build
	@$(LOCAL) browser
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) test --release --workspace

drivers: local ## the tests of the whole system on each of the two drivers
	@$(LOCAL) provision
	@$(LOCAL) build
	@$(LOCAL) browser
	for driver in epoll uring; do \
	  echo "FIBER_DRIVER=$$driver"; FIBER_DRIVER=$$driver $(TEST) --test system || exit 1; done

soak: local ## kills by the hundred and schedules by the 100,000: CYCLES=1000 SEED=… ONLY=engine|database|schedules
ifneq ($(ONLY),schedules)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(TEST) --test system -- --ignored --nocapture --test-threads 1 soak::the_$(ONLY)
endif
ifneq ($(filter schedules,$(or $(ONLY),schedules)),)
	FIBER_TEST_FULL=1 FIBER_TEST_SEED=$(or $(SEED),1) FIBER_TEST_SCHEDULES=$(or $(SCHEDULES),100000) \
	  $(TEST) --lib -- simulation crash damage
endif

fuzz: tools ## mutated inputs against every reader of bytes: EXECUTIONS=2000000 for each target, SEED=…
	FIBER_TEST_SEED=$(or $(SEED),1) FIBER_TEST_FUZZ=$(or $(EXECUTIONS),2000000) \
	  $(TEST) --lib -- --show-output fuzz

schemathesis: local ## asks the API, by its own OpenAPI document, for all that it promises and does not (CASES=120 an operation, SEED=…)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(call BIN,fiber-schemathesis) \
	  $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

slow: local ## five thousand slow connections beside good probes (SLOW=5000)
	@$(LOCAL) provision
	@$(LOCAL) build
	FIBER_TEST_SLOW=$(or $(SLOW),5000) $(TEST) --test system -- --nocapture --exact slow::good_probes_go_on_beside_a_thousand_slow_connections

loom: tools ## the hand-off between the runtimes under every order of two threads
	$(CARGO) rustc --lib -p fiber-engine --profile bench -- --cfg loom
	@tests=$$($(CARGO) rustc --lib -p fiber-engine --profile bench --message-format json -- --cfg loom 2>/dev/null \
	  | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'); test -n "$$tests" && "$$tests" under_loom

miri: tools ## the contract crate's tests under Miri (needs a nightly toolchain with miri and rust-src)
	@$(CARGO) +nightly miri --version >/dev/null 2>&1 || { \
	  echo "Miri is missing: rustup toolchain install nightly --component miri --component rust-src" >&2; exit 1; }
	MIRIFLAGS=-Zmiri-disable-isolation $(CARGO) +nightly miri test -p fiber-contract

planted: tools ## switches known bugs on, one by one, and fails when the tests miss one (ONLY=ack-before-fsync)
	$(call BIN,fiber-planted) $(if $(ONLY),--only $(ONLY))

drills: local ## breaks servers and links under load, and judges by the client's ledger (ONLY=redis-killed, QUICK=1)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(call BIN,fiber-drills) $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

audit: local ## the dashboard in a browser: axe-core and Lighthouse (ONLY=axe|lighthouse, PAGES=nodes,…, LOADS=3)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(call BIN,fiber-audit) $(if $(ONLY),--only $(ONLY)) \
	  $(if $(PAGES),--pages $(PAGES)) $(if $(LOADS),--loads $(LOADS))

gates: local ## every gate against servers made for it: bar, measured, verdict (ONLY=ingest_latency, SHORT=1, QUICK=1)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(BUILD) --bin fiber-gates --bin fiber-audit --bin fiber-benches --bin fiber-planted --bin fiber-schemathesis
	@$(LOCAL) browser
	$(CARGO_TARGET_DIR)/release/fiber-gates --json target/gates/gates.json --markdown target/gates/gates.md \
	  $(if $(ONLY),--only $(ONLY)) $(if $(SHORT),--short) $(if $(QUICK),--quick)

frames: local ## what the dashboard costs a browser: redraws of 3,600 points, 1000 nodes at 2 Hz (ONLY=redraw|live)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(call BIN,fiber-frames) $(ONLY)

pages: local ## the dashboard's pages in Chromium, one by one: sign-in, roles, states, tables, nginx, axe-core
	@$(LOCAL) provision
	@$(LOCAL) build
	@$(LOCAL) browser
	$(TEST) --test system -- --test-threads 2 page_

screenshots: local ## every page, light, dark and phone width, into dashboard/screenshots (ONLY=nodes,users)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(call BIN,fiber-screenshots) $(if $(ONLY),--only $(ONLY))

bench: local ## the figures, as ratios from one run
	@$(LOCAL) provision
	@$(LOCAL) build
	$(call BIN,fiber-benches)

profile: local ## where the engine's time goes: benches/FLAME.svg, FLAME_ROWS.svg and BUDGET.md (perf, and valgrind if there is one)
	@$(LOCAL) provision
	@$(LOCAL) build
	$(call BIN,fiber-benches) profile

fmt: tools ## format the code
	$(CARGO) fmt --all

lint: tools ## clippy, warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings

deny: tools ## licences, sources and known holes of the dependencies
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install cargo-deny --locked" >&2; exit 1; }
	$(CARGO) deny check

clean-data: local ## remove the stopped stack's data
	@$(LOCAL) clean-data

local: tools
	@$(BUILD) --bin fiber-local

# rustc links with the machine's C compiler, and two dependencies are C.
tools:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: see https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends gcc libc6-dev; \
	  else echo "a C compiler is missing: sudo apt-get install gcc libc6-dev" >&2; exit 1; fi; }
