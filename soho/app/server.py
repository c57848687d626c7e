"""Serving of the page: from one socket, to browsers that may load nothing from elsewhere."""

import socket
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio import processing_utils
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soho.app.pictures import MAX_BYTES

HERE = Path(__file__).parent
MAX_BODY = MAX_BYTES + (1 << 20)
"""Bytes of a request: a picture and what stands around it."""
HEADERS = {
    # gradio's own page has inline scripts and compiles its templates
    'Content-Security-Policy': (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'"
    ),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
}


class Guard:
    """Middleware that refuses long requests, and forbids the browser to load anything from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get('body', b''))
            if received > MAX_BODY:
                raise HTTPException(413, f'A request may have {MAX_BODY} bytes at most.')
            return message

        async def add_headers(message: Message) -> None:
            if message['type'] == 'http.response.start':
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        length = Headers(scope=scope).get('content-length', '0')
        if not length.isdigit() or int(length) > MAX_BODY:
            refusal = PlainTextResponse(f'A request may have {MAX_BODY} bytes at most.', 413)
            await refusal(scope, receive, add_headers)
            return
        await self.app(scope, count, add_headers)


def make_app(page: gr.Blocks) -> FastAPI:
    """The ASGI application of a page."""
    outer = FastAPI(middleware=[Middleware(Guard)], docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        outer,
        page,
        path='/',
        theme=gr.themes.Base(
            primary_hue=gr.themes.colors.blue,
            neutral_hue=gr.themes.colors.stone,
            radius_size=gr.themes.sizes.radius_lg,
            font=['Segoe UI', 'Roboto', 'Helvetica Neue', 'Arial', 'sans-serif'],
            font_mono=['Menlo', 'Consolas', 'DejaVu Sans Mono', 'monospace'],
        ),
        css_paths=[HERE / 'page.css'],
        favicon_path=str(HERE / 'favicon.svg'),
        footer_links=[],
        run_history=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        max_file_size=MAX_BYTES,
    )
    # Only then gradio refuses the paths of files that nobody has uploaded.
    page.has_launched = True
    # Where a request has an address in the place of a picture.
    processing_utils.async_ssrf_protected_download = refuse_address
    return outer


async def refuse_address(url: str, *args: object, **options: object) -> str:
    """What a download becomes: this machine fetches nothing on behalf of a stranger."""
    raise gr.Error('A picture is uploaded; an address is not fetched.', print_exception=False)


def serve(page: gr.Blocks, listener: socket.socket) -> None:
    """Serve the page until Ctrl-C."""
    host, port = listener.getsockname()[:2]
    print(f'soho app: http://{f"[{host}]" if ":" in host else host}:{port}  (Ctrl-C ends it)', flush=True)
    # Pages that are open keep a connection open.
    config = uvicorn.Config(make_app(page), log_level='warning', timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])
