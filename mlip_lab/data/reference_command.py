"""The command line that the scripts of packaged reference values share."""

from __future__ import annotations

import argparse
from typing import TypeVar

from mlip_lab.core.errors import InputError
from mlip_lab.data.label import load_settings

Settings = TypeVar("Settings")


def reference_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser of settings, store and output."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--with", dest="settings", required=True, help="TOML file of the settings")
    parser.add_argument("--store", required=True, help="folder of finished calculations")
    parser.add_argument("--out", required=True, help="JSON file of the values")
    return parser


def settings_for(path: str, kind: type[Settings], backend: str) -> Settings:
    """Settings of one backend from a file; InputError if it is for another."""
    settings = load_settings(path)
    if not isinstance(settings, kind):
        raise InputError(f'settings: the reference needs backend = "{backend}".')
    return settings
