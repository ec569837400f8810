# make demo         screen real and synthetic radiographs with the packaged model (about a minute)
# make install      everything for training, serving and testing, into .venv
# make format       format the code
# make lint         style and spelling, in seconds
# make check        lint, types and the contract of the layers
# make test-fast    the tests that need neither a server nor minutes
# make test         check, all tests, and the phone app's where Node is present
# make notebooks    the tutorials of docs/tutorials as Jupyter notebooks
# make docs         the documentation site, in site/
# make dist         build and check the wheel and the source archive
# make vectors      write the expected values of tests/vectors anew, after a change of the model
# make mobile-demo  build the phone app for the web and serve it (Node 20.19 or later)
# make mobile-test  its types, style and tests, with its parity with Python
# make mobile-e2e   its web build in Chromium, Firefox and WebKitGTK, where they are
# make mobile-check reading in Hermes, bundles and projects for Android and iOS, without their SDKs

PYTHON ?= python3
VENV := .venv
DEMO_VENV := .venv-demo
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt
INPUTS := pyproject.toml constraints.txt
NODE_IS_NEW := const [major, minor] = process.versions.node.split("."); process.exit(major > 20 || (major == 20 && minor >= 19) ? 0 : 1)

# Two processes on two cores take half the time. The tests of a file share a process, and PyTorch has
# one thread in each.
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist loadfile

CODE := src tests examples scripts benchmarks docs/tutorials deploy mobile/scripts mobile/tests
TEXT := *.md docs src tests benchmarks examples scripts

.PHONY: demo install format lint check test-fast test notebooks docs dist vectors clean mobile-demo mobile-test mobile-web mobile-e2e mobile-check

demo: $(DEMO_VENV)/installed
	$(DEMO_VENV)/bin/python scripts/demo_radiographs.py demo/radiographs
	@# Exit code 1 says that a file was unreadable: one of the demo's files is damaged on purpose.
	$(DEMO_VENV)/bin/nanoray predict demo/radiographs --report demo/report.html \
		--heatmaps demo/heatmaps || test $$? -eq 1
	@echo
	@echo "Report:    $(CURDIR)/demo/report.html"
	@echo "Heat maps: $(CURDIR)/demo/heatmaps"

install: $(VENV)/installed

format: $(VENV)/installed
	$(VENV)/bin/ruff check --fix-only --quiet $(CODE)
	$(VENV)/bin/ruff format $(CODE)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/codespell $(TEXT)

check: lint
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

test-fast: $(VENV)/installed
	$(PYTEST) -m "not slow and not service"

test: check
	$(PYTEST)
	@if ! node -e '$(NODE_IS_NEW)' 2>/dev/null; then \
		echo "mobile: skipped, there is no Node 20.19 or later"; \
	elif ! test -f mobile/node_modules/installed && ! npm view expo version >/dev/null 2>&1; then \
		echo "mobile: skipped, npm does not reach its registry"; \
	else \
		$(MAKE) --no-print-directory mobile-test; \
	fi

notebooks: $(VENV)/installed
	$(VENV)/bin/jupytext --to notebook docs/tutorials/*.py

docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --site-dir site
	@echo "Site: $(CURDIR)/site/index.html"

dist: $(VENV)/installed
	rm -rf dist
	$(VENV)/bin/python $(PIP_INSTALL) -e '.[release]'
	$(VENV)/bin/python -m build
	$(VENV)/bin/twine check --strict dist/*

vectors: $(VENV)/installed
	$(VENV)/bin/python tests/vectors/make.py
	$(VENV)/bin/python tests/vectors/make_kinds.py

$(DEMO_VENV)/installed: $(INPUTS)
	$(PYTHON) -m venv $(DEMO_VENV)
	@echo "Installing nanoray with its core dependencies ..."
	$(DEMO_VENV)/bin/python $(PIP_INSTALL) -e . pydicom-data
	@touch $@

$(VENV)/installed: $(INPUTS)
	$(PYTHON) -m venv $(VENV)
	@echo "Installing nanoray with everything for training and testing (PyTorch: a few minutes) ..."
	$(VENV)/bin/python $(PIP_INSTALL) -e '.[dev]'
	@touch $@

mobile/node_modules/installed: mobile/package.json mobile/package-lock.json
	cd mobile && npm ci
	@touch $@

mobile-test: mobile/node_modules/installed
	cd mobile && npm run prepare:assets && npm run lint && npm test

mobile-web: mobile/node_modules/installed
	cd mobile && npm run build:web

mobile-demo: mobile-web
	cd mobile && npm run serve:web

mobile-e2e: mobile-web
	cd mobile && npm run test:e2e

mobile-check: mobile/node_modules/installed
	cd mobile && npm run check:export

clean:
	rm -rf demo $(DEMO_VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
