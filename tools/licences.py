"""Writes docs/licences.md: the licence of each package that users install with the bridge.

    python tools/licences.py [--check]

With `--check` it writes nothing, and exits with status 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from typing import Final

from locked import PROJECT, ROOT, licence, locked

PAGE: Final = ROOT / "docs" / "licences.md"
TEXT: Final = """\
# Licences

The licence of each package that is installed with the bridge, as an \
[SPDX expression](https://spdx.org/licenses/). \
The bridge itself is under the [MIT licence](../LICENSE).

`make licences` writes this page from `requirements.lock` and the packages' metadata, and \
`make test` fails if the page is out of date. The versions are in `requirements.lock`.

The bridge itself requires the packages in bold. They require the others.

| package | licence |
|---|---|
{rows}

Not in this list, because they are installed only on Windows, where the bridge does not run: {left_out}.
"""


def page() -> str:
    """Returns the text that the page should have."""
    entries = locked("requirements.lock")
    rows = [
        f"| {f'**{entry.name}**' if PROJECT in entry.wanted_by else entry.name} | {licence(entry.name)} |"
        for entry in entries
        if entry.runs
    ]
    left_out = [entry.name for entry in entries if not entry.runs]
    return TEXT.format(rows="\n".join(rows), left_out=", ".join(left_out))


def main() -> None:
    """Writes the page, or compares it with its text."""
    right = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(right, "utf-8")
    elif PAGE.read_text("utf-8") != right:
        raise SystemExit("docs/licences.md is out of date. Run `make licences`, and commit the page.")
    print("licences: docs/licences.md is up to date.")


if __name__ == "__main__":
    main()
