.DEFAULT_GOAL := help
.PHONY: demo test check bench docker-build docker-build-full docker-build-lambda docker-run docker-stop docker-logs \
	test-health test-chat test-task-create test-task-check test-e2e clean help

# npm hides the engines warning: Node 20 is enough for npm, the project brings the Node that it runs on.
NPM := npm --loglevel=error
IMAGE := picoclaw
PORT ?= $(or $(shell sed -n 's/^PORT=//p' .env 2>/dev/null),9000)

# What the image says of itself.
BUILD_ARGS = --build-arg VERSION=$(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' package.json) \
	--build-arg COMMIT=$(shell git rev-parse --short HEAD 2>/dev/null || echo unknown) \
	--build-arg CREATED=$(shell date -u +%Y-%m-%dT%H:%M:%SZ)

node_modules/.package-lock.json: package.json package-lock.json
	@echo "Installing what it runs on (about 500 MB, once) ..."
	@$(NPM) ci --no-audit --no-fund
	@touch $@

# Heavy tools that only the tests of docs/api need.
test/api-tools/node_modules/.package-lock.json: test/api-tools/package.json test/api-tools/package-lock.json
	@$(NPM) ci --prefix test/api-tools --no-audit --no-fund
	@touch $@

demo: node_modules/.package-lock.json ## talk to the agent in a minute; without a key, to an offline stand-in for the model
	@$(NPM) run --silent demo

# The recipes' tools, which the server and the demo do not need.
deploy/node_modules/.package-lock.json: deploy/package.json deploy/package-lock.json
	@$(NPM) ci --no-audit --no-fund --prefix deploy
	@touch $@

test: node_modules/.package-lock.json test/api-tools/node_modules/.package-lock.json deploy/node_modules/.package-lock.json ## format, lint, types, generated files and every test
	@$(NPM) run --silent check

check: test ## the same as test

bench: node_modules/.package-lock.json ## measure; see bench/README.md
	@$(NPM) run --silent bench

docker-build: ## the image, as picoclaw
	docker build -t $(IMAGE) $(BUILD_ARGS) .

docker-build-full: ## with a browser and fonts, as picoclaw:full
	docker build -t $(IMAGE):full --target full $(BUILD_ARGS) .

docker-build-lambda: ## with the AWS Lambda Web Adapter, as picoclaw:lambda
	docker build -t $(IMAGE):lambda --build-arg ENABLE_LAMBDA_ADAPTER=true $(BUILD_ARGS) .

docker-run: ## start it with the settings of .env, on port 9000 of this machine (PORT=… for another)
	@test -e .env || { echo "no .env: install -m 600 .env.example .env, and give it a key and a token" >&2; exit 1; }
	docker run --detach --name picoclaw --env-file .env \
	  -e HOST=0.0.0.0 -e PORT=9000 -e MEMORY_DIR=/data/memory -e STORE_DIR=/data/store -e LOCAL_DB_PATH=/tmp/messages.db \
	  -p 127.0.0.1:$(PORT):9000 -v picoclaw-memory:/data/memory -v picoclaw-store:/data/store \
	  --read-only --tmpfs /tmp:exec,mode=1777 --cap-drop ALL --security-opt no-new-privileges --stop-timeout 20 $(IMAGE)

docker-stop: ## stop it; the data stay
	docker stop picoclaw
	docker rm picoclaw

docker-logs: ## what it logs
	docker logs --follow picoclaw

test-health: ## ask a running server how it is (PICOCLAW_URL, else this machine; API_TOKEN, else the one in .env)
	@scripts/ask.sh GET /health

test-chat: ## chat with it
	@scripts/ask.sh POST /chat '{"message": "Say hello in one short sentence."}'

test-task-create: ## give it a task that is due at once
	@scripts/ask.sh POST /task '{"prompt": "Say hello in one short sentence.", "schedule_type": "once", "schedule_value": "2020-01-01T00:00"}'

test-task-check: ## have it run what is due
	@scripts/ask.sh POST /task/check

test-e2e: node_modules/.package-lock.json ## a server from start to end: in a container where there is an engine, else the process
	@if docker info > /dev/null 2>&1; then \
	  docker build -t $(IMAGE):e2e . && PICOCLAW_TEST_IMAGE=$(IMAGE):e2e $(NPM) test -- test/e2e/image.test.ts; \
	else \
	  echo "No Docker engine: the process is tested instead."; $(NPM) test -- test/e2e/image.test.ts test/e2e/picoclaw.test.ts; \
	fi

clean: ## remove what was built and installed; .env and data stay
	rm -rf dist coverage node_modules test/api-tools/node_modules deploy/node_modules deploy/aws/cdk.out

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-20s %s\n", $$1, $$2 }'
