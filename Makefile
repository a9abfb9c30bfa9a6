.DEFAULT_GOAL := help
.PHONY: demo test check bench help

# npm hides the engines warning: Node 20 is enough for npm, the project brings the Node that it runs on.
NPM := npm --loglevel=error

node_modules/.package-lock.json: package.json package-lock.json
	@echo "Installing what it runs on (about 500 MB, once) ..."
	@$(NPM) ci --no-audit --no-fund
	@touch $@

demo: node_modules/.package-lock.json ## talk to the agent in a minute; without a key, to an offline stand-in for the model
	@$(NPM) run --silent demo

# The recipes' tools, which the server and the demo do not need.
deploy/node_modules/.package-lock.json: deploy/package.json deploy/package-lock.json
	@$(NPM) ci --no-audit --no-fund --prefix deploy
	@touch $@

test: node_modules/.package-lock.json deploy/node_modules/.package-lock.json ## format, lint, types, generated files and every test
	@$(NPM) run --silent check

check: test ## the same as test

bench: node_modules/.package-lock.json ## measure; see bench/README.md
	@$(NPM) run --silent bench

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'
