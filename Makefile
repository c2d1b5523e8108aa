# `make` lists what can be done. Needs GNU Make 3.81 or newer and Python 3.11 or newer, nothing else.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help report publish list test lab check assign demo codebook notebooks lint bench lock clean

PYTHON ?= python3
DATA ?= data/demo

# A misspelled variable would silently run the wrong quarter or the wrong company.
known := QUARTER DATA RAW OUT APPROVED_BY NOTE FORCE PYTHON ALL EXPERIMENT ONLY
given_names := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
unknown := $(firstword $(filter-out $(known),$(given_names)))
closest_code := import difflib, sys; near = difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1, 0.5)
closest_code += ; print(near[0] if near else "")
ifneq ($(unknown),)
closest := $(shell python3 -c '$(closest_code)' '$(unknown)' $(known) 2>/dev/null)
$(error $(unknown)= is unknown$(if $(closest),; the closest is $(closest)=,; known are $(known)))
endif

# A line break would end the command in its middle.
define line_break


endef
broken := $(strip $(foreach name,$(given_names),$(if $(findstring $(line_break),$(value $(name))),$(name))))
$(if $(broken),$(error $(firstword $(broken))= holds a line break; write it on one line))
$(if $(filter-out 1,$(FORCE)),$(error FORCE=$(FORCE) is unknown; FORCE=1 or nothing))

# One shell word, whatever spaces, quotes and $ it holds; a leading ~/ stays outside the quotes, so the shell expands it.
quoted = $(subst '~/,~/','$(subst ','\'',$1)')
option = $(if $(value $2),$1 $(call quoted,$(value $2)))
force := $(if $(FORCE),--force)
icp := .venv/bin/python -m icp_lib
demo_if_used := $(if $(filter data/demo data/demo/ ./data/demo,$(DATA)),data/demo/icp.yml)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile
	@echo "QUARTER=2025-Q4..2026-Q3 makes the reports of several quarters, one after another."
	@echo "FORCE=1 replaces a published quarter (and keeps it in .superseded/), or publishes one in which a page failed."
	@echo "The first call builds .venv with python3; PYTHON=python3.12 names another one."

report: .venv/stamp $(demo_if_used) ## report of a quarter: QUARTER=2026-Q3 DATA=~/acme RAW=~/exports OUT=reports/acme
	@$(icp) report $(call option,--quarter,QUARTER) $(call option,--data,DATA) \
	  $(call option,--raw,RAW) $(call option,--out,OUT) $(force)

publish: .venv/stamp $(demo_if_used) ## freeze a quarter: QUARTER=2026-Q3 APPROVED_BY="Ann Roe, head of sales; Bo Li, CMO" NOTE="why"
	@$(icp) publish $(call option,--quarter,QUARTER) $(call option,--data,DATA) $(call option,--out,OUT) \
	  $(call option,--approved-by,APPROVED_BY) $(call option,--note,NOTE) $(force)

list: .venv/stamp $(demo_if_used) ## every quarter and its state; writes the index of quarters again: DATA=~/acme OUT=reports/acme
	@$(icp) list $(call option,--data,DATA) $(call option,--out,OUT)

test: .venv/stamp data/demo/icp.yml ## every test, and every notebook compared with its committed outputs
	@mkdir -p .cache
	@IPYTHONDIR="$(CURDIR)/.cache/ipython" JUPYTER_CONFIG_DIR="$(CURDIR)/.cache/jupyter" \
	  PYTHONHASHSEED=0 OMP_NUM_THREADS=1 .venv/bin/python -m pytest -p no:randomly -n 2 --nbval --nbval-current-env \
	  --nbval-cell-timeout=300 --nbval-kernel-startup-timeout=120 tests $(sort $(wildcard notebooks/0*.ipynb))

lab: .venv/stamp $(demo_if_used) ## JupyterLab on copies of the notebooks: QUARTER=2026-Q3 DATA=~/acme OUT=reports/acme
	@$(icp) lab $(call option,--quarter,QUARTER) $(call option,--data,DATA) $(call option,--out,OUT)

check: .venv/stamp $(demo_if_used) ## say what is wrong with an extract, without a report: DATA=~/acme RAW=~/exports
	@$(icp) check $(call option,--data,DATA) $(call option,--raw,RAW)

assign: .venv/stamp $(demo_if_used) ## draw the arms of an ICP test by its protocol: EXPERIMENT=letter DATA=~/acme OUT=reports/acme
	@$(icp) assign $(call option,--experiment,EXPERIMENT) $(call option,--data,DATA) $(call option,--raw,RAW) \
	  $(call option,--out,OUT)

demo: data/demo/icp.yml ## the demo company, in data/demo
	@echo "The demo company is in data/demo."

codebook: .venv/stamp ## write data/README.md and data/template (after a change of tables, metrics or settings)
	@$(icp) codebook

notebooks: .venv/stamp data/demo/icp.yml ## execute the stock notebooks on the demo, in place (before a commit)
	@$(icp) notebooks

lint: .venv/stamp ## style of code and notebooks
	@.venv/bin/python -m ruff check icp_lib tests bench notebooks

bench: .venv/stamp data/demo/icp.yml ## run bench/*.py and write their tables to docs/bench.md; ONLY=trials: one of them
	@mkdir -p .cache
	@for name in $(or $(ONLY),$(filter-out worlds trait_worlds peers write,$(basename $(notdir $(sort $(wildcard bench/*.py)))))); do \
	  echo "bench/$$name.py ..."; .venv/bin/python "bench/$$name.py" > .cache/bench.txt || exit 1; \
	  .venv/bin/python bench/write.py "$$name" < .cache/bench.txt; \
	done

lock: ## resolve requirements.lock again after a change of pyproject.toml (the only target that needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@uv pip compile pyproject.toml --extra dev --universal --generate-hashes --python-version 3.11 --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

clean: ## remove the demo, drafts and caches; published quarters and reports/<company> stay. ALL=1: .venv too
	@for folder in reports/20??-Q[1-4]; do [ -e "$$folder/approval.yml" ] || rm -rf "$$folder"; done
	@rm -rf data/demo reports/.work reports/.cache reports/*/.cache .cache .pytest_cache .ruff_cache .hypothesis
	@find $(wildcard icp_lib tests bench notebooks) \
	  '(' -name __pycache__ -o -name .ipynb_checkpoints ')' -prune -exec rm -rf {} +
	@if ! ls -d reports/20??-Q[1-4] > /dev/null 2>&1; then rm -f reports/index.html; \
	  elif [ -x .venv/bin/python ]; then $(icp) list --out reports > /dev/null; rm -rf reports/.work; fi
	@$(if $(ALL),rm -rf .venv)

data/demo/icp.yml: $(wildcard icp_lib/demo*.py) | .venv/stamp
	@echo "Making the demo company ..."
	@$(icp) demo

# The environment. A .pth file puts this checkout on the path without a build and is written last: where this path is
# missing (a build that stopped, a checkout that moved, a Python that is gone) the environment is built from nothing.
path_code := import sys; sys.exit(sys.argv[1] not in sys.path)
stale := $(shell .venv/bin/python -I -c '$(path_code)' $(call quoted,$(CURDIR)) 2>/dev/null || echo yes)

python_code := import sys; new = sys.version_info >= (3, 11); find = new and __import__("importlib.util").util.find_spec
python_code += ; print("is %d.%d.%d" % sys.version_info[:3] if not new
python_code += else "ok" if find("venv") and find("ensurepip") else "has no venv")
python_says = $(or $(shell $(call quoted,$(PYTHON)) -c '$(python_code)' 2>/dev/null),does not run)
too_old = icp-research needs Python 3.11 or newer; $(PYTHON) $1. Set PYTHON=python3.12 or another new one
no_venv = $(PYTHON) has no venv; on Debian: apt install python3-venv
check_python = $(if $(filter-out ok,$1),$(error $(if $(findstring no venv,$1),$(no_venv),$(too_old))))

.venv/stamp: requirements.lock pyproject.toml $(if $(stale),always)
	$(if $(stale),$(call check_python,$(python_says)))
	@rm -rf $(if $(stale),.venv,$@)
	@echo "Installing the packages of requirements.lock into .venv: one to four minutes the first time ..."
	@$(if $(stale),$(call quoted,$(PYTHON)) -m venv .venv)
	@.venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@packages=$$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	  printf '%s\n' $(call quoted,$(CURDIR)) > "$$packages/icp_research.pth"
	@touch $@

always:
