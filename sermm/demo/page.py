"""The page, in gradio: what it may serve is what it was sent, and nothing of the machine.

Uploads go to a private folder; each is removed with its answer, one that nobody asks about after
ten minutes, the folder when the page ends. What reaches gradio at all is up to ``guard.py``. The
browser keeps the recording that it sent and sends it again when the words are corrected.
"""

from __future__ import annotations

import html
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_modules.errors import ConfigError, SermmError
from sermm.demo.answer import Judge, message_of
from sermm.demo.guard import Guard
from sermm.demo.uploads import Uploads
from sermm.predict.cutting import Cutting

_KEEP_S = 600
_SWEEP_S = 30
_WAYS = ("whole", "at silences", "windows of 4 s")

# A fresh upload is fetched once, before its answer removes it; later questions send it again.
_FRESH = "() => { window.sermmSound = null; }"
_SEND_AGAIN = """async (audio, words, way) => {
  if (!audio || !audio.url) return [audio, words, way];
  if (!window.sermmSound) {
    const found = await fetch(audio.url);
    if (found.ok) window.sermmSound = await found.blob();
    return [audio, words, way];
  }
  const form = new FormData();
  form.append("files", window.sermmSound, audio.orig_name || "recording.wav");
  const root = window.gradio_config.root.replace(/[/]$/, "");
  const sent = await fetch(`${root}/gradio_api/upload`, { method: "POST", body: form });
  const [path] = await sent.json();
  return [{...audio, path}, words, way];
}"""


def build_page(judge: Judge, uploads: Uploads, title: str, about: str) -> Any:
    """The page as gradio's Blocks.

    Args:
        judge: Who answers.
        uploads: What was sent.
        title: Of the page.
        about: What the model is and how good, in a few lines.
    """
    import gradio as gr

    model = judge.predictor.model
    reads, hears = model.tokenizer is not None, model.upstream is not None

    def answer(audio: str | None, words: str, way: str) -> tuple[Any, ...]:
        cutting = {
            _WAYS[0]: None,
            _WAYS[1]: Cutting(),
            _WAYS[2]: Cutting(window_s=4.0),
        }[way if way in _WAYS else _WAYS[0]]
        path = Path(audio) if audio else None
        try:
            found = judge.answer(path, words, cutting if path is not None else None)
        except SermmError as error:
            return (
                None,
                "",
                "",
                _message(message_of(error), "alert"),
            )
        finally:
            if path is not None:
                uploads.answered(path)
        bars = found.shares or None
        notes = [html.escape(note) for note in found.notes]
        notes += [f"{html.escape(name)}: {value:.2f}" for name, value in found.ratings.items()]
        return (
            bars,
            _picture(found.picture),
            _table(found.timeline),
            _message("<br>".join(notes), "status"),
        )

    with gr.Blocks(title=title, analytics_enabled=False) as page:
        gr.Markdown(f"# {title}\n\n{about}")
        with gr.Row():
            with gr.Column():
                audio: Any = gr.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label="Recording",
                    buttons=[],  # one would publish it on a hub
                    visible=hears,
                )
                words = gr.Textbox(
                    label="Words",
                    lines=2,
                    max_lines=8,
                    max_length=judge.limits.letters,
                    visible=reads,
                )
                way = gr.Radio(list(_WAYS), value=_WAYS[0], label="Long recordings", visible=hears)
                button = gr.Button("Judge", variant="primary")
            with gr.Column():
                bars = gr.Label(label="What it sounds like", show_heading=True)
                said = gr.HTML(label="Notes")
        picture = gr.HTML(label="Waveform, words and attention")
        timeline = gr.HTML(label="Timeline")
        gr.Markdown(
            "The model says how speech sounds to people who labelled its corpus, not what somebody "
            "feels. A recording is removed from this machine as soon as it is judged."
        )
        button.click(
            answer,
            [audio, words, way],
            [bars, picture, timeline, said],
            api_name="judge",
            concurrency_limit=1,
            js=_SEND_AGAIN,
        )
        audio.async_move_resource_to_block_cache = _only_uploads(uploads)
        for fresh in (audio.upload, audio.stop_recording):
            fresh(None, None, None, js=_FRESH)
    page.queue(max_size=100)
    return page


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    if not rows:
        return ""
    head = ("from (s)", "to (s)", "predicted", "probability")
    titles = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(value)}</td>' for value in row)}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="timeline" role="region" aria-label="Timeline" tabindex="0">{table}</div>'


def _picture(svg: str) -> str:
    return f'<div class="picture" tabindex="0">{svg}</div>' if svg else ""


def _message(text: str, role: str) -> str:
    return f'<p role="{role}">{text}</p>' if text else ""


def _only_uploads(uploads: Uploads) -> Any:
    """In place of gradio's own, which downloads a recording whose path is an address."""

    async def expect_upload(path: str) -> str:
        if not Path(path).resolve().is_relative_to(uploads.folder):
            raise PermissionError("expected an uploaded file, got another path or an address")
        return path

    return expect_upload


@contextmanager
def open_page(
    judge: Judge,
    *,
    title: str,
    about: str,
    host: str,
    port: int,
    max_bytes: int,
    public_url: str = "",
) -> Iterator[Any]:
    """The page, served by a thread while the block lasts.

    Args:
        judge: Who answers.
        title: Of the page.
        about: What the model is.
        host: Address to listen on.
        port: To listen on; 0 takes a free one.
        max_bytes: Of one upload.
        public_url: Under which a proxy passes the page on; empty without one.

    Raises:
        ConfigError: The port is in use.
    """
    with tempfile.TemporaryDirectory(prefix="sermm-demo-") as folder, _environment(folder):
        import gradio as gr
        from starlette.middleware import Middleware

        uploads = Uploads(Path(folder), _KEEP_S)
        loopback = host in ("127.0.0.1", "::1", "localhost")
        hosts = ("127.0.0.1", "localhost", "::1") if loopback else ()
        page = build_page(judge, uploads, title, about)
        theme = gr.themes.Base(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        )
        # room for what surrounds a file in a form
        guard = Middleware(
            Guard,
            hosts=hosts,
            max_bytes=max_bytes + 65_536,
            uploads=uploads,
            public_url=public_url,
        )
        try:
            page.launch(
                server_name=host,
                server_port=port or _free_port(host),
                share=False,
                quiet=True,
                show_error=False,
                max_file_size=max_bytes,
                enable_monitoring=False,
                run_history=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                strict_cors=True,
                prevent_thread_lock=True,
                footer_links=[],
                theme=theme,
                css_paths=[Path(__file__).parent / "page.css"],
                root_path=public_url,
                # no look whether the page answers itself, which gives up after three seconds
                _frontend=False,
                app_kwargs={"middleware": [guard], "docs_url": None, "redoc_url": None},
            )
        except OSError as error:
            raise ConfigError(
                "--port", expected="a free port", got=f"{port} ({error})", fix="choose another"
            ) from None
        ended = threading.Event()
        sweeper = threading.Thread(target=_sweep, args=(uploads, ended), daemon=True)
        sweeper.start()
        try:
            yield page
        finally:
            ended.set()
            page.close(verbose=False)
            sweeper.join()


def serve(judge: Judge, **options: Any) -> None:
    """Open the page and serve until it is stopped; arguments as of :func:`open_page`.

    Raises:
        ConfigError: The port is in use.
    """
    with open_page(judge, **options) as page:
        print(f"open {options['public_url'] or page.local_url}  (Ctrl-C ends it)", flush=True)
        page.block_thread()


def _sweep(uploads: Uploads, ended: threading.Event) -> None:
    while not ended.wait(_SWEEP_S):
        uploads.sweep()


def _free_port(host: str) -> int:
    """One that the system has free; gradio would search from 7860."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])


@contextmanager
def _environment(folder: str) -> Iterator[None]:
    """What gradio reads from the environment and from nowhere else."""
    wanted = {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_TEMP_DIR": str(Path(folder).resolve()),
        # it asks its own page before it serves, which no proxy of the environment can reach
        "NO_PROXY": "*",
        "no_proxy": "*",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
