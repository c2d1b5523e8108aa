"""The environment and the Makefile: three lists of packages that must agree, and words for what can go wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def direct(repo) -> dict[str, Requirement]:
    """Direct dependencies of pyproject.toml by name."""
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["dev"]
    return {canonicalize_name(need.name): need for need in map(Requirement, lines)}


@pytest.fixture(scope="module")
def lock(repo) -> str:
    return (repo / "requirements.lock").read_text(encoding="utf-8")


def read_entries(lock: str) -> list[str]:
    """One string a locked package: its name, version and hashes."""
    return [entry for entry in re.split(r"\n(?=\S)", lock.strip()) if not entry.startswith("#")]


def test_the_lock_holds_every_direct_dependency_within_its_bounds(direct, lock):
    pins: dict[str, list[str]] = {}
    for entry in read_entries(lock):
        name, version = re.match(r"([\w.\[\]-]+)==(\S+)", entry).groups()
        pins.setdefault(canonicalize_name(name.partition("[")[0]), []).append(version)
    for name, need in direct.items():
        assert name in pins, f"{name} is in pyproject.toml but not in requirements.lock: run `make lock`"
        assert all(map(need.specifier.contains, pins[name])), f"{need} is not what the lock holds: {pins[name]}"


def test_every_locked_package_has_hashes_and_no_address(lock):
    without = [entry.splitlines()[0] for entry in read_entries(lock) if "--hash=sha256:" not in entry]
    assert not without
    assert "://" not in lock and not re.search(r"--[a-z-]*(index|find)-", lock)


def test_environment_yml_names_the_same_packages_and_bounds(repo, direct):
    *listed, by_pip = yaml.safe_load((repo / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert by_pip["pip"][-1] == "-e ."
    needs = [*map(Requirement, listed), *map(Requirement, by_pip["pip"][:-1])]
    bounds = {need.name: (need.specifier, str(need.marker)) for need in needs}
    python, _ = bounds.pop("python")
    assert bounds.pop("pip")[0] == ""
    assert bounds == {name: (need.specifier, str(need.marker)) for name, need in direct.items()}
    project = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert python == project["requires-python"]


@pytest.fixture
def make(repo, tmp_path):
    """Run make in a bare copy, in a folder whose name has a space, without building anything."""
    folder = tmp_path / "a copy"
    folder.mkdir()
    shutil.copy(repo / "Makefile", folder)
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).touch()

    outer = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "QUARTER", "DATA", "RAW", "OUT", "PYTHON"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = ["make", "--no-print-directory", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)

    return run


@pytest.fixture
def shim(tmp_path):
    """Write a Python that runs `prelude` before what it is asked to run; return its path, which has a space in it."""

    def write(prelude: str):
        path = tmp_path / "other python"
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{prelude}\n$2"\n', encoding="utf-8")
        path.chmod(0o755)
        return path

    return write


def test_help_names_every_target(repo, make):
    makefile = (repo / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    printed = [line.split()[1] for line in make().stdout.splitlines() if line.startswith("make ")]
    assert sorted(printed) == sorted(targets)


def test_help_names_every_variable(repo, make):
    known = re.search(r"^known := (.*)$", (repo / "Makefile").read_text(encoding="utf-8"), re.M)[1].split()
    assert [name for name in known if f"{name}=" not in make().stdout] == []


@pytest.mark.parametrize(("given", "closest"), [("QUATER", "QUARTER"), ("data", "DATA"), ("Out", "OUT")])
def test_an_unknown_variable_is_refused_with_the_closest_known_one(make, given, closest):
    result = make("report", f"{given}=x")
    assert result.returncode == 2
    assert f"{given}= is unknown; the closest is {closest}=." in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "icp_lib report" not in result.stdout


def test_a_variable_unlike_any_other_is_refused_with_the_list(make):
    assert "ZZZ= is unknown; known are QUARTER DATA RAW OUT" in make("-n", "report", "ZZZ=1").stderr


def test_an_old_python_is_told_in_one_line(make, shim):
    path = shim("import sys; sys.version_info = (3, 9, 2)")
    error = make("-n", "report", f"PYTHON={path}").stderr.strip()
    assert f"icp-research needs Python 3.11 or newer; {path} is 3.9.2. Set PYTHON=" in error
    assert "\n" not in error


def test_a_python_without_venv_is_told_in_one_line(make, shim):
    prelude = "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n: None if n == 'ensurepip' else f(n)"
    path = shim(prelude)
    error = make("-n", "report", f"PYTHON={path}").stderr.strip()
    assert f"{path} has no venv; on Debian: apt install python3-venv" in error
    assert "\n" not in error


def test_a_python_that_is_not_there_is_told_in_one_line(make):
    error = make("-n", "report", "PYTHON=/nowhere/python3").stderr.strip()
    assert "icp-research needs Python 3.11 or newer; /nowhere/python3 does not run." in error
    assert "\n" not in error


def test_a_good_python_would_build_the_environment_from_nothing(make, shim):
    path = shim("import sys; sys.version_info = (3, 12, 1)")
    result = make("-n", "test", f"PYTHON={path}")
    assert result.returncode == 0, result.stderr
    assert f"'{path}' -m venv .venv" in result.stdout
    assert "--require-hashes -r requirements.lock" in result.stdout


def printed_arguments(tmp_path, words: str) -> list[str]:
    """What a program would be given for the words after ``icp_lib report``, as the shell splits them."""
    script = f"HOME='{tmp_path}'; for word in {words}; do printf '%s\\n' \"$word\"; done"
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_publication_s_words_arrive_whole(make, tmp_path):
    people, note = "Ann O'Roe, head of sales; Bo Li, CMO", "costs $5, not $(shell ls); was `x`"
    commands = make("-n", "publish", "QUARTER=2026-Q3", f"APPROVED_BY={people}", f"NOTE={note}").stdout
    words = commands.partition("icp_lib publish")[2].replace("\\\n", " ").strip()
    expected = ["--quarter", "2026-Q3", "--data", "data/demo", "--approved-by", people, "--note", note]
    assert printed_arguments(tmp_path, words) == expected


def test_a_line_break_in_a_variable_is_refused(make):
    result = make("report", "QUARTER=2026-Q1\n")
    assert result.returncode == 2
    assert "QUARTER= holds a line break; write it on one line." in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_force_is_one_or_nothing(make):
    assert "--force" in make("-n", "report", "FORCE=1").stdout
    assert "--force" not in make("-n", "report").stdout
    assert "FORCE=yes is unknown; FORCE=1 or nothing." in make("report", "FORCE=yes").stderr


@pytest.mark.parametrize("folder", ["~/acme", "~/my acme", "/data/my acme", "it's here", "a/~/b"])
def test_a_path_arrives_whole_whatever_it_holds(make, tmp_path, folder):
    commands = make("-n", "report", f"DATA={folder}", f"OUT={folder} out", "QUARTER=2026-Q3").stdout
    words = commands.partition("icp_lib report")[2].replace("\\\n", " ").strip()
    whole = folder.replace("~", str(tmp_path), 1) if folder.startswith("~") else folder
    expected = ["--quarter", "2026-Q3", "--data", whole, "--out", f"{whole} out"]
    assert printed_arguments(tmp_path, words) == expected


def test_the_demo_is_made_only_for_the_demo(make):
    assert "icp_lib demo" in make("-n", "report").stdout
    assert "icp_lib demo" not in make("-n", "report", "DATA=~/acme").stdout


def test_out_is_passed_only_when_given(make):
    assert "--out" not in make("-n", "report").stdout
    assert "--out 'reports/acme'" in make("-n", "report", "OUT=reports/acme").stdout


def test_clean_keeps_published_quarters_and_other_companies(make, tmp_path):
    reports = tmp_path / "a copy" / "reports"
    for name in ("2026-Q2/approval.yml", "2026-Q3/index.html", "acme/2026-Q3/index.html", ".work/2026-Q3/x.csv"):
        (reports / name).parent.mkdir(parents=True)
        (reports / name).touch()
    (reports / "index.html").touch()
    (tmp_path / "a copy" / "tests" / "__pycache__").mkdir(parents=True)
    assert make("clean").returncode == 0
    assert not (tmp_path / "a copy" / "tests" / "__pycache__").exists()
    kept = sorted(str(path.relative_to(reports)) for path in reports.rglob("*") if path.is_file())
    assert kept == ["2026-Q2/approval.yml", "acme/2026-Q3/index.html", "index.html"]
