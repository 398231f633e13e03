"""``sermm demo``: load the model, say where the page is, serve it."""

from __future__ import annotations

import importlib.util
import socket
from urllib.parse import urlsplit

from data_modules.errors import ConfigError, ModelError
from sermm.predict.source import find_model
from sermm.terminal import say


def open_demo(
    run: str,
    *,
    fold: int | None,
    seed: int | None,
    aligner: str,
    ctc_model: str,
    host: str,
    port: int,
    max_mb: float,
    max_minutes: float,
    public_url: str = "",
) -> None:
    """Serve the page until it is stopped.

    Raises:
        SermmError: The model cannot be used, the extra is missing, or the port is taken.
    """
    source = find_model(run, fold=fold, seed=seed)
    if not (0 < max_mb <= 10_000 and 0 < max_minutes <= 600):
        raise ConfigError(
            "--max-mb, --max-minutes",
            expected="up to 10,000 MB and 600 minutes",
            got=f"{max_mb:g} and {max_minutes:g}",
            fix="choose other limits",
        )
    _expect_url(public_url)
    if importlib.util.find_spec("gradio") is None:
        raise ModelError(
            "sermm demo",
            expected="gradio, which draws the page",
            got="no package gradio",
            fix="install it with `pip install sermm[page]`",
        )
    _expect_free(host, port)
    from sermm.demo.answer import Judge, Limits
    from sermm.demo.page import serve
    from sermm.predict.command import introduction
    from sermm.predict.predictor import load

    predictor = load(source.folder, aligner=aligner, ctc_model=ctc_model)
    if host not in ("127.0.0.1", "::1", "localhost"):
        say(
            f"{host} is no loopback address: whoever reaches this machine can use the page",
            style="yellow",
        )
    serve(
        Judge(predictor, Limits(seconds=60 * max_minutes)),
        title=predictor.model.config.name,
        about="\n\n".join(introduction(predictor, raw=False)),
        host=host,
        port=port,
        max_bytes=round(max_mb * 1e6),
        public_url=public_url.rstrip("/"),
    )


def _expect_url(text: str) -> None:
    """Before the model is loaded."""
    try:
        parts = urlsplit(text)
        good = not text or (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and not (parts.query or parts.fragment or parts.username)
        )
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            "--public-url",
            expected="the address under which users open the page",
            got=text,
            fix="write it whole, such as https://example.org/emotion",
        )


def _expect_free(host: str, port: int) -> None:
    """Before the model is loaded."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((host, port))
        except OSError as error:
            raise ConfigError(
                "--host, --port",
                expected="an address of this machine and a free port",
                got=f"{host}, {port} ({error.strerror})",
                fix="choose another",
            ) from None
