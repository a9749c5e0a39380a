#!/usr/bin/env python3
"""Writes the boards: `dashboards/generate.py`. Change this, never the JSON."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import drain, fleet, itself, migration  # noqa: E402


def files():
    """The text of each board by its path."""
    return {
        HERE / f"{board['uid']}.json": json.dumps(board, indent=2, ensure_ascii=False) + "\n"
        for board in (fleet.BOARD, migration.BOARD, drain.BOARD, itself.BOARD)
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
