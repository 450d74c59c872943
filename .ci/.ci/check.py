"""Runs the notebooks and the checks beside them; ends with 'N passed, N failed'.

A check is a function that raises AssertionError. Each runs in a process of its own, so
that no notebook can lean on another's state. These processes are forked from one that
has imported the slow libraries. Notebooks that git does not know are left out. Long trials, such as killing a run
again and again, are cut short unless MINIGPT_TRIALS=full is set.
"""

import argparse
import configparser
import difflib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

from readme import render

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent


def known_notebooks() -> list[Path]:
    """The notebooks that git knows; in a copy without .git, all of them."""
    found = sorted((ROOT / "nbs").rglob("[!.]*.ipynb"))
    git = ["git", "ls-files", "-z", "--", "*.ipynb"]
    try:
        listed = subprocess.run(
            git, cwd=ROOT / "nbs", capture_output=True, text=True, check=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return found
    known = {(ROOT / "nbs" / name).resolve() for name in listed}
    return [path for path in found if path.resolve() in known] or found


NOTEBOOKS = known_notebooks()


FORKS = "forkserver" in multiprocessing.get_all_start_methods()
PROCESSES = multiprocessing.get_context("forkserver" if FORKS else "spawn")
CELL_TIMES: list[tuple[float, str]] = []  # seconds, and notebook:cell
SLOW = ["nbdev.test", "jax", "flax.nnx", "optax", "orbax.checkpoint", "matplotlib.pyplot"]


def call(*command: str | Path, cwd: Path = ROOT) -> str:
    """The output of a command; where it fails, AssertionError with the end of it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{command[0]} failed:\n{output[-3000:]}"
    return output


def copy_project(folder: Path) -> Path:
    """A copy of what is under version control, more or less."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "runs", "build", "*.egg-info", "__pycache__", "wandb"
    )
    project = shutil.copytree(ROOT, folder / "project", ignore=ignored)
    known = {path.relative_to(ROOT) for path in NOTEBOOKS}
    for path in (project / "nbs").rglob("*.ipynb"):
        if path.relative_to(project) not in known:
            path.unlink()
    return project


def same_files(ours: Path, theirs: Path, names: Iterable[str]) -> None:
    """Assert that both folders have these files with the same bytes."""
    for name in sorted(names):
        exists = (ours / name).exists() and (theirs / name).exists()
        same = exists and (ours / name).read_bytes() == (theirs / name).read_bytes()
        assert same, f"{name} differs from what the notebooks give"


def modules_in(package: Path) -> set[str]:
    """The modules of a package and of the packages in it, as relative paths."""
    return {str(path.relative_to(package)) for path in package.rglob("*.py")}


def check_export(folder: Path) -> None:
    """The package is what the notebooks export, from nothing."""
    project = copy_project(folder)
    shutil.rmtree(project / "minigpt")
    call(BIN / "nbdev_export", cwd=project)
    ours, theirs = ROOT / "minigpt", project / "minigpt"
    same_files(ours, theirs, modules_in(ours) | modules_in(theirs))


def check_clean(folder: Path) -> None:
    """The notebooks are clean."""
    project = copy_project(folder)
    call(BIN / "nbdev_clean", cwd=project)
    same_files(ROOT, project, [str(path.relative_to(ROOT)) for path in NOTEBOOKS])


def check_readme(folder: Path) -> None:
    """The README is what the index gives."""
    for name, content in render(ROOT / "nbs/index.ipynb").items():
        same = (ROOT / name).read_bytes() == content
        assert same, f"{name} is stale; run python .ci/readme.py"


def check_outputs(folder: Path) -> None:
    """Every notebook was saved with outputs, none of them an error, none too large."""
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs = [o for cell in cells for o in cell.get("outputs", [])]
        assert outputs, f"{path.name} has no saved outputs"
        errors = [o for o in outputs if o["output_type"] == "error"]
        assert not errors, f"{path.name} has a saved error"
        assert path.stat().st_size < 500_000, f"{path.name} is over 500 KB"


def read_settings() -> configparser.SectionProxy:
    """What settings.ini says."""
    settings = configparser.ConfigParser(delimiters=["="])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    return settings["DEFAULT"]


def check_version(folder: Path) -> None:
    """The installed package has the version of settings.ini."""
    expected, found = read_settings()["version"], version("minigpt")
    assert found == expected, f"settings.ini says {expected}, installed is {found}"


def check_wheel(folder: Path) -> None:
    """The wheel holds the whole package, the commands, and nothing else."""
    project = copy_project(folder)
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder)
    call(*pip, ".", cwd=project)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (points,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
        commands = wheel.read(points).decode()
    assert names == {f"minigpt/{name}" for name in modules_in(ROOT / "minigpt")}
    for line in read_settings()["console_scripts"].split():
        name, function = line.split("=")
        assert f"{name} = {function}" in commands, f"{name} is no command of the wheel"


def notebook(path: Path, folder: Path) -> None:
    """Run a notebook with nbdev_test; print the cells that take a second or longer."""
    from nbdev.test import nbdev_test
    nbdev_test(str(path), n_workers=0, cell_timing_min=1)


def child(name: str, folder: Path) -> None:
    """Run one check in this process; all that it prints goes into a file."""
    with open(folder / "output", "wb") as file:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
    all_checks()[name](folder)


def run(name: str) -> bool:
    """Run one check in a new process, and tell how it went."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        process = PROCESSES.Process(target=child, args=(name, Path(folder)))
        process.start()
        process.join(timeout=1800)
        if hangs := process.is_alive():
            process.kill()
        output = Path(folder, "output").read_text(encoding="utf-8", errors="replace")
    if hangs or process.exitcode != 0:
        reason = "it hangs" if hangs else f"exit code {process.exitcode}"
        print(f"FAILED  {name}: {reason}\n{output[-3000:]}", flush=True)
        return False
    cells = re.findall(r"^(\S+\.ipynb:\w+): ([\d.]+)s$", output, re.M)
    CELL_TIMES.extend((float(seconds), cell) for cell, seconds in cells)
    print(f"ok      {name}  {time.monotonic() - start:.0f} s", flush=True)
    return True


def all_checks() -> dict[str, Callable[[Path], None]]:
    """Every check by its name: that of a notebook, or of a function below 'check_'."""
    functions = {
        name.removeprefix("check_"): check
        for name, check in globals().items()
        if name.startswith("check_")
    }
    return {path.stem: partial(notebook, path) for path in NOTEBOOKS} | functions


def chosen_checks(known: dict) -> dict:
    """The checks that the command line names; without names, all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"names: {', '.join(known)}",
    )  # fmt: skip
    parser.add_argument("name", nargs="*", help="only these, such as 02_attention export")
    names = [Path(n).name.removesuffix(".ipynb") for n in parser.parse_args().name]
    unknown = [name for name in names if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, 1, 0)
        parser.error(f"no check is called {unknown[0]}; did you mean {close[0]}?")
    return {name: known[name] for name in names or known}


def main() -> int:
    checks = chosen_checks(all_checks())
    with tempfile.TemporaryDirectory() as cache:  # nothing old is found, nothing left
        os.environ |= {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "XDG_CACHE_HOME": cache,
            "JAX_COMPILATION_CACHE_DIR": str(Path(cache) / "compiled"),  # for all
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        PROCESSES.set_forkserver_preload(SLOW)
        with ThreadPoolExecutor(2) as pool:
            passed = sum(pool.map(run, checks))
    if CELL_TIMES:
        slowest = sorted(CELL_TIMES, reverse=True)[:10]
        print("the slowest cells, in seconds:")
        print("\n".join(f"{seconds:6.0f}  {cell}" for seconds, cell in slowest))
    print(f"{passed} passed, {len(checks) - passed} failed")
    return int(passed < len(checks))


if __name__ == "__main__":
    sys.exit(main())
