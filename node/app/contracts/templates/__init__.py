"""Contracts to begin with: each a whole file with its own cases, to be changed and tested."""

import re
from collections.abc import Mapping
from importlib import resources

TEMPLATES: Mapping[str, str] = {
    "by-requester": "one organisation may, one may not, nobody else should ask",
    "purpose-limits": "only for named purposes and operations",
    "embargo": "nobody before a date, partners after it",
    "at-most-k-uses": "each organisation so many times, all together not more than so many",
    "by-agreement": "only who is a party to an agreement in force that covers the purpose",
}
"""By name: what it does."""


def template_text(template: str, *, name: str | None = None, data: str | None = None) -> str:
    """The file of this template, with another name and data set where they are given. `template` is in `TEMPLATES`."""
    text = resources.files(__package__).joinpath(f"{template}.toml").read_text("utf-8")
    if name is not None:
        text = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
    if data is not None:
        text = re.sub(r"(?m)^data = \[.*\]", f'data = ["{data}"]', text, count=1)
    return text
