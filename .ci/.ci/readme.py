"""Writes README.md from nbs/index.ipynb: prose, code, saved outputs and pictures."""

import base64
import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def render_output(output: dict, pictures: list[bytes]) -> str:
    """One output of a cell as Markdown; pictures are collected."""
    data = output.get("data", {})
    if "image/png" in data:
        pictures.append(base64.b64decode(data["image/png"]))
        return f"![](nbs/files/index_{len(pictures)}.png)\n"
    text = "".join(data.get("text/plain", output.get("text", "")))
    return f"```text\n{text.rstrip()}\n```\n"


def render_cell(cell: dict, pictures: list[bytes]) -> str:
    """One cell as Markdown; links between notebooks then start from the top folder."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return re.sub(r"\]\((?!http|#)", "](nbs/", source) + "\n"
    directives = re.findall(r"^#\|\s*(\w+)", source, re.M)
    if "hide" in directives:
        return ""
    code = "\n".join(line for line in source.splitlines() if not line.startswith("#|"))
    parts = [] if "hide_input" in directives else [f"```python\n{code.strip()}\n```\n"]
    return "\n".join(parts + [render_output(o, pictures) for o in cell["outputs"]])


def render(notebook: Path) -> dict[str, bytes]:
    """The README and its pictures: paths from the top folder, and contents."""
    pictures: list[bytes] = []
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = [render_cell(cell, pictures) for cell in cells]
    files = {f"nbs/files/index_{n}.png": p for n, p in enumerate(pictures, 1)}
    note = "<!-- Written by .ci/readme.py from nbs/index.ipynb: edit that notebook. -->\n"
    readme = note + "\n" + "\n".join(part for part in parts if part)
    return files | {"README.md": readme.encode()}


if __name__ == "__main__":
    for name, content in render(ROOT / "nbs/index.ipynb").items():
        (ROOT / name).write_bytes(content)
