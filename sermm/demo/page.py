"""The page, in gradio: what it may serve is what it was sent, and nothing of the machine.

- Loopback alone unless another address is asked for; requests under another host name are refused,
  so that no page elsewhere reaches it by a name that leads here (DNS rebinding).
- Nothing is fetched from outside: system fonts, a content security policy, no analytics.
- Uploads go to a private folder that is removed when the page ends, files in it after ten minutes.
  gradio serves files from there alone; no folder of the machine is allowed.
- Bodies beyond the limit are refused before they are read.
"""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from data_modules.errors import ConfigError, SermmError
from sermm.demo.answer import Judge, message_of
from sermm.predict.cutting import Cutting

_KEEP_S = 600
_WAYS = ("whole", "at silences", "windows of 4 s")

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)


class Guard:
    """ASGI middleware: known hosts, bounded bodies, nothing from outside.

    Args:
        app: What it guards.
        hosts: Names under which the page may be asked for; empty for all.
        max_bytes: Of a request's body.
    """

    def __init__(self, app: Any, hosts: tuple[str, ...], max_bytes: int) -> None:
        self.app, self.hosts, self.max_bytes = app, hosts, max_bytes

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer, or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if self.hosts and host.strip("[]") not in self.hosts:
            await _refuse(send, 403, "unknown host")
            return
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.max_bytes:
            await _refuse(send, 413, "too large")
            return
        taken = 0

        async def bounded() -> _Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.max_bytes:
                # a body that came in pieces without a length
                return {"type": "http.disconnect"}
            return message

        async def guarded(message: _Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", _POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, bounded, guarded)


async def _refuse(send: _Send, status: int, reason: str) -> None:
    body = reason.encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def build_page(judge: Judge, title: str, about: str) -> Any:
    """The page as gradio's Blocks.

    Args:
        judge: Who answers.
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
        try:
            path = Path(audio) if audio else None
            found = judge.answer(path, words, cutting if path is not None else None)
        except SermmError as error:
            return (
                None,
                "",
                gr.update(value=[], visible=False),
                _message(message_of(error), "alert"),
            )
        bars = found.shares or None
        notes = [html.escape(note) for note in found.notes]
        notes += [f"{html.escape(name)}: {value:.2f}" for name, value in found.ratings.items()]
        rows = [list(row) for row in found.timeline]
        return (
            bars,
            found.picture,
            gr.update(value=rows, visible=bool(rows)),
            _message("<br>".join(notes), "status"),
        )

    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(60, _KEEP_S)) as page:
        gr.Markdown(f"# {title}\n\n{about}")
        with gr.Row():
            with gr.Column():
                audio = gr.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label="Recording",
                    visible=hears,
                )
                words = gr.Textbox(
                    label="Words", lines=2, max_length=judge.limits.letters, visible=reads
                )
                way = gr.Radio(list(_WAYS), value=_WAYS[0], label="Long recordings", visible=hears)
                button = gr.Button("Judge", variant="primary")
            with gr.Column():
                bars = gr.Label(label="What it sounds like", show_heading=True)
                said = gr.HTML(label="Notes")
        picture = gr.HTML(label="Waveform, words and attention")
        timeline = gr.Dataframe(
            headers=["from (s)", "to (s)", "predicted", "probability"],
            label="Timeline",
            visible=False,
            interactive=False,
        )
        gr.Markdown(
            "The model says how speech sounds to people who labelled its corpus, not what somebody "
            f"feels. Recordings are kept for at most {_KEEP_S // 60} minutes, for this page alone."
        )
        button.click(
            answer,
            [audio, words, way],
            [bars, picture, timeline, said],
            api_name="judge",
            concurrency_limit=1,
        )
    page.queue(max_size=100)
    return page


def _message(text: str, role: str) -> str:
    return f'<p role="{role}">{text}</p>' if text else ""


def serve(
    judge: Judge,
    *,
    title: str,
    about: str,
    host: str,
    port: int,
    max_bytes: int,
    wait: bool = True,
) -> Any:
    """Open the page and serve until it is stopped.

    Args:
        judge: Who answers.
        title: Of the page.
        about: What the model is.
        host: Address to listen on.
        port: To listen on; 0 takes a free one.
        max_bytes: Of one upload.
        wait: Whether to return when it is stopped, or at once.

    Raises:
        ConfigError: The port is in use.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    with tempfile.TemporaryDirectory(prefix="sermm-demo-") as folder:
        # before the import: gradio looks once
        os.environ["GRADIO_TEMP_DIR"] = folder
        import gradio as gr
        from starlette.middleware import Middleware

        loopback = host in ("127.0.0.1", "::1", "localhost")
        hosts = ("127.0.0.1", "localhost", "::1") if loopback else ()
        page = build_page(judge, title, about)
        theme = gr.themes.Base(
            font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
        )
        try:
            page.launch(
                server_name=host,
                server_port=port or None,
                share=False,
                quiet=True,
                show_error=False,
                max_file_size=max_bytes,
                allowed_paths=[],
                blocked_paths=[str(Path.home()), str(Path.cwd())],
                enable_monitoring=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                strict_cors=True,
                prevent_thread_lock=True,
                footer_links=[],
                theme=theme,
                app_kwargs={
                    "middleware": [
                        # room for what surrounds a file in a form
                        Middleware(Guard, hosts=hosts, max_bytes=max_bytes + 65_536)
                    ],
                    "docs_url": None,
                    "redoc_url": None,
                },
            )
        except OSError as error:
            raise ConfigError(
                "--port", expected="a free port", got=f"{port} ({error})", fix="choose another"
            ) from None
        if not wait:
            return page
        try:
            print(f"open {page.local_url}  (Ctrl-C ends it)")
            page.block_thread()
        finally:
            page.close(verbose=False)
    return page
