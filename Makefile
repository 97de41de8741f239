# The menu of bin/, where the work is done.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench faults browser screens clean

help: ## show this menu
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv ready (the other targets do it by themselves)
	@bin/setup

demo: ## show what taskhub does; DOCS=/any/folder takes your own documents
	@bin/demo $${DOCS:+"$$DOCS"}

test: ## run the tests; ARGS='-k claim -x' goes to pytest
	@bin/test $(ARGS)

lint: ## check style, types and who imports whom
	@bin/lint

format: ## format the code and mend what can be mended
	@bin/format

bench: ## run the benchmarks; ARGS=NAME runs one
	@bin/bench $(ARGS)

# Properties of which `make test` tries few examples and `make faults` many.
PROPERTIES = tests/queue/test_engine_model.py \
	tests/queue/test_rates.py::test_whatever_is_promised_when_no_window_sees_more_start \
	tests/queue/test_fairness.py::test_every_job_is_claimed_within_the_bound_that_is_promised \
	tests/queue/test_cron.py::test_three_schedulers_that_stop_and_restart_anywhere_defer_every_tick_exactly_once

faults: ## run the tests that kill, pause and cut off workers; ARGS goes to pytest
	@TEST_EXAMPLES=many bin/test -n 2 tests/faults $(PROPERTIES) $(ARGS)

browser: ## look at every screen in Chromium; screenshots go to build/screens
	@TEST_ARTEFACTS=$${TEST_ARTEFACTS:-build/screens} bin/test -n 2 tests/browser $(ARGS)

screens: ## draw the README's pictures of the dashboard anew, in docs/screens
	@bin/screens

clean: ## remove the venv, caches and built packages
	@bin/clean
