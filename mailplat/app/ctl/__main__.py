"""``python -m mailplat.app.ctl``: the same as ``mailplatctl``, where that is not on the path."""

from __future__ import annotations

from mailplat.app.ctl.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main(prog_name="mailplatctl")
