"""Tests for `mailplat.config.render` and `.reference`: definitions and files agree."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplat.config.load import parse, resolve_paths
from mailplat.config.option import Option, options_of, row_class, table_class
from mailplat.config.options import Configuration
from mailplat.config.reference import render_reference
from mailplat.config.render import render_toml
from mailplat.config.secrets import Secret
from mailplat.config.sections.filtering import FilterOptions
from mailplat.config.sections.mail import CatchAll, RoutesOptions
from mailplat.config.sections.server import (
    ListenerOptions,
    ListenerProtocol,
    LogOptions,
    ServerOptions,
    TLSHost,
    TLSOptions,
    TLSUse,
)
from mailplat.config.values import Domain, Duration, PartText, Size

ROOT = Path(__file__).parents[2]
HERE = Path("/here")


def every_option(table: type = Configuration, place: str = "") -> Iterator[tuple[str, Option]]:
    """Give every option with its place."""
    for option in options_of(table):
        name = f"{place}{option.name}"
        yield name, option
        if inside := table_class(option.type) or row_class(option.type):
            yield from every_option(inside, name + ".")


def test_files_in_the_tree() -> None:
    """The files in the tree are what the definitions give.

    When they are not: ``python -m mailplat.config toml > etc/mailplat.toml`` and
    ``python -m mailplat.config reference > docs/configuration.md``.
    """
    assert (ROOT / "etc/mailplat.toml").read_text() == render_toml(Configuration())
    assert (ROOT / "docs/configuration.md").read_text() == render_reference()


def test_every_option_is_explained() -> None:
    """Every option has a meaning, every number a unit, and both files name it."""
    toml, reference = render_toml(Configuration()), render_reference()
    for place, option in every_option():
        assert option.meaning.endswith("."), place
        assert option.type is not int or option.unit, place
        assert re.search(rf"\b{option.name}\b", toml), place
        assert f"`{option.name}`" in reference or f"[{place}]" in reference, place


def test_comments_are_the_defaults() -> None:
    """With its comment marks taken away the file says every default, and is valid."""
    text = re.sub(r"(?ms)^#\[\[.*?(?=^$)", "", render_toml(Configuration()))
    text = re.sub(r"(?m)^#(?=[a-z_0-9]+ = )", "", text)
    said = tomllib.loads(text)
    for table in options_of(Configuration):
        for option in options_of(inside) if (inside := table_class(table.type)) else ():
            if option.default is not None and not row_class(option.type):
                assert option.name in said[table.name], f"{table.name}.{option.name}"
    assert parse(text, "f", HERE) == resolve_paths(Configuration(), HERE)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
durations = st.integers(1, 10**7).map(lambda n: Duration(n / 1000))
configurations = st.builds(
    Configuration,
    server=st.builds(
        ServerOptions,
        hostname=words,
        domains=st.just((Domain("example.org"), Domain("example.net"))),
        shutdown_timeout=durations,
        port_offset=st.integers(0, 64000),
    ),
    listeners=st.lists(
        st.builds(
            ListenerOptions,
            protocol=st.sampled_from(
                [p for p in ListenerProtocol if p is not ListenerProtocol.LMTP]
            ),
            name=words,
            tls=st.none() | st.sampled_from(TLSUse),
            require_tls=st.none() | st.booleans(),
        ),
        max_size=3,
        unique_by=lambda table: table.protocol,
    ).map(tuple),
    tls=st.builds(
        TLSOptions,
        key_password=st.none() | words.map(Secret),
        hosts=st.sampled_from([(), (TLSHost(certificate=Path("a b"), key=Path("é")),)]),
    ),
    routes=st.builds(
        RoutesOptions,
        subaddress=words,
        catch_all=st.sampled_from([(), (CatchAll(domain=Domain("example.org"), account="a"),)]),
    ),
    filters=st.lists(
        st.builds(FilterOptions, use=words.map(lambda word: PartText(f"x:{word}"))), max_size=2
    ).map(tuple),
    log=st.builds(LogOptions, file=st.none() | st.just(Path('/a"b'))),
)


@settings(max_examples=50)
@given(configurations, st.integers(2**16, 2**40))
def test_what_is_written_reads_back(configuration: Configuration, size: int) -> None:
    """A configuration survives being written to a file."""
    configuration = attrs.evolve(
        configuration, message=attrs.evolve(configuration.message, max_size=Size(size))
    )
    read = parse(render_toml(configuration), "f", HERE)
    assert read == resolve_paths(configuration, HERE)


def test_secrets_stay_where_they_are() -> None:
    """A secret that came from elsewhere is written as its place, not as its value."""
    secret = Secret("hush", {"env": "NAME"})
    text = render_toml(Configuration(tls=TLSOptions(key_password=secret)))
    assert "hush" not in text
    assert 'key_password = { env = "NAME" }' in text
