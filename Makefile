# make demo | make test: each sets everything up in .venv first; make help lists the rest.

PYTHON ?= python3
# The ROS 2 whose wheels are installed: kilted or jazzy.
DISTRIBUTION ?= kilted
VENV ?= $(if $(filter kilted,$(DISTRIBUTION)),.venv,.venv-$(DISTRIBUTION))
BIN := $(VENV)/bin
SOURCES := $(shell find cem_planner_ros launch config models worlds scripts resource \
	-type f -not -name '*.pyc') package.xml

# A sourced ROS installation must not mix with the ROS wheels of the environment made here.
unexport PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport LD_LIBRARY_PATH ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION RMW_IMPLEMENTATION
# The wheels set it in a Python that has found its libraries; one that it starts has to find them too.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help install demo test test-fast test-extras test-pages test-jazzy lint reference docs figures dist clean

help:
	@echo "make demo       set up, then swing a simulated cart-pole up over ROS 2,"
	@echo "                or drive a robot around obstacles: SCENARIO=diff_drive,"
	@echo "                fly a figure of eight: SCENARIO=quadrotor, or reach around a column: SCENARIO=arm"
	@echo "                or walk on four legs: SCENARIO=quadruped"
	@echo "                SEED=0 DURATION=10 REPORT=report; VIEW=1 (or a port) for a page in a browser"
	@echo "make test       set up, then run every check and test, two at a time: JOBS=2"
	@echo "make test-fast  those that take two minutes: no ROS, no processes, hardly a compiler"
	@echo "make test-extras  those that need heavy packages, which it installs, or a browser"
	@echo "make test-pages  types the commands of README and docs into a shell"
	@echo "make test-jazzy set up with the wheels of Jazzy, not Kilted, and run the ROS tests"
	@echo "make lint       set up, then run ruff and mypy"
	@echo "make docs       set up, then build the site of docs/ into build/site"
	@echo "make figures    set up, then draw the pictures of docs/figures from runs"
	@echo "make dist       set up, then build wheel and sdist into dist/"
	@echo "make reference  set up, then write anew what is made from the code: config/planner.yaml,"
	@echo "                docs/parameters.md, docs/reference/"
	@echo "make install    set up only; in .venv-jazzy with DISTRIBUTION=jazzy"
	@echo "make help       print this list"
	@echo "make clean      remove what make made"

SCENARIO ?= cartpole
SEED ?= 0
REPORT ?= report

demo: install
	@$(BIN)/python -m cem_planner_ros demo --scenario "$(SCENARIO)" --seed "$(SEED)" \
		$(if $(DURATION),--duration "$(DURATION)") $(if $(VIEW),--view $(filter-out 1,$(VIEW))) --report "$(REPORT)"

# How many tests run at a time: most of them wait for something.
JOBS ?= 2
PARALLEL := --numprocesses $(JOBS) --dist loadfile

test: install lint
	$(BIN)/pytest $(PARALLEL) -m "not alone and not extras"
	$(BIN)/pytest -m "alone and not extras"

test-fast: install lint
	$(BIN)/pytest $(PARALLEL) -m "not slow and not alone and not extras"

# Robots of other packages are files, and need nothing else of these packages.
test-extras: install
	$(BIN)/pip install --quiet $(CONSTRAINTS) '.[ray,warp,lint]' selenium
	$(BIN)/pip install --quiet $(CONSTRAINTS) --no-deps judo-rai mjlab
	$(BIN)/pytest $(PARALLEL) -m extras --ignore test/test_terminals.py

# The commands of the pages are demos in real time: one after the other, on an idle machine.
test-pages: install
	$(BIN)/pytest -m extras test/test_terminals.py

test-jazzy:
	@$(MAKE) DISTRIBUTION=jazzy VENV=.venv-jazzy install
	.venv-jazzy/bin/pytest $(PARALLEL) test/ros test/simulation test/launch

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A file is replaced only if all of it could be made.
reference: install
	$(BIN)/python -m cem_planner_ros parameters --markdown > $(VENV)/reference
	mv $(VENV)/reference docs/parameters.md
	$(BIN)/python -m cem_planner_ros parameters config/cartpole.yaml > $(VENV)/reference
	mv $(VENV)/reference config/planner.yaml
	$(BIN)/python docs/scripts/commands.py
	$(BIN)/python docs/scripts/messages.py

# Material for MkDocs prints an advertisement of its successor unless it is told not to.
docs: install
	@$(BIN)/pip install --quiet $(CONSTRAINTS) mkdocs-material 'mkdocstrings[python]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "built build/site/index.html; with search: $(PYTHON) -m http.server --directory build/site"

figures: install
	$(BIN)/python docs/scripts/figures.py

install: $(VENV)/.installed

CONSTRAINTS := --constraint constraints.txt --constraint constraints-$(DISTRIBUTION).txt

$(VENV)/.dependencies: setup.py constraints.txt constraints-$(DISTRIBUTION).txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed, $(PYTHON) is $$($(PYTHON) --version);" \
		"name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || \
		{ echo "$(PYTHON) lacks venv: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@command -v $${CXX:-g++} >/dev/null || \
		echo "warning: no C++ compiler: planning will be slow (Debian, Ubuntu: apt install g++)"
	@echo "setting up $(VENV): takes minutes, once"
	$(PYTHON) -m venv $(VENV)
	@# An old pip may search for half an hour for versions that go together.
	$(BIN)/pip install --quiet --upgrade $(CONSTRAINTS) pip
	$(BIN)/pip install --quiet $(CONSTRAINTS) setuptools '.[ros,drive,sim,report,learn,view,tune,dev]'
	@touch $@

$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	@rm -rf build
	@touch $@

dist: install
	@$(BIN)/pip install --quiet $(CONSTRAINTS) build
	$(BIN)/python -m build --no-isolation --outdir dist
	@rm -rf build

clean:
	rm -rf .venv .venv-jazzy $(VENV) report build dist install log *.egg-info .pytest_cache .hypothesis .ruff_cache .mypy_cache
