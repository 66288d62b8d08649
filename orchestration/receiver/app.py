"""The endpoints: Meta's handshake and webhooks, and what an operator asks for."""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestration.receiver import metrics
from orchestration.receiver.segments import Writer, envelope
from orchestration.receiver.settings import ReceiverSettings

# Meta sends at most 3 MiB; the loader takes no more either.
MAX_BODY_BYTES = 3 << 20
RETRY_AFTER_SECONDS = 5
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}

logger = logging.getLogger("receiver")


class Refused(Exception):
    """A request that is answered with an error: its status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status

    def response(self) -> Response:
        headers = dict(NO_SNIFFING)
        if self.status == 503:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        if self.status in (408, 413):  # the rest of the body is not read
            headers["Connection"] = "close"
        return PlainTextResponse(f"{self}\n", self.status, headers)


class Receiver:
    """The endpoints of one worker."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self.settings = settings
        self.secrets = [secret.get_secret_value().encode() for secret in settings.app_secrets]
        self.verify_token = settings.verify_token.get_secret_value().encode()
        # Of webhooks that are being read or written
        self.requests = 0
        self.bytes = 0

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """The writer lives as long as the server; nobody is served before it is there."""
        os.umask(int(self.settings.receiver_umask, 8))
        metrics.forget_dead_workers()
        parent = multiprocessing.parent_process()
        loop = asyncio.get_running_loop()
        if parent is not None:  # who would stop or restart an orphan?
            loop.add_reader(parent.sentinel, os.kill, os.getpid(), signal.SIGTERM)
        self.writer = Writer(
            self.settings.landing_dir,
            self.settings.receiver_segment_bytes,
            self.settings.receiver_segment_seconds,
        )
        yield
        # All that was accepted is written, also for clients that were too slow to hear of it.
        await asyncio.to_thread(self.writer.close)

    async def verify(self, request: Request) -> Response:
        """Meta's handshake: the challenge back, for who knows the token."""
        query = request.query_params
        token = query.get("hub.verify_token", "").encode()
        known = hmac.compare_digest(token, self.verify_token)
        if query.get("hub.mode") != "subscribe" or not known or "hub.challenge" not in query:
            return Refused(403, "This is not the handshake with the right token.").response()
        return PlainTextResponse(query["hub.challenge"], headers=NO_SNIFFING)

    async def webhook(self, request: Request) -> Response:
        """A webhook: 200 when it is durable."""
        started = time.perf_counter()
        self.requests += 1
        metrics.QUEUE_REQUESTS.inc()
        chunks: list[bytes] = []
        try:
            await self.read(request, chunks)
            body = b"".join(chunks)
            self.check_signature(request, body)
            try:
                await self.writer.write(envelope(body, request.scope["path"], datetime.now(UTC)))
            except OSError:
                raise Refused(503, "It cannot be stored now: send it again.") from None
            metrics.BODY_BYTES.inc(len(body))
            metrics.REQUEST_SECONDS.observe(time.perf_counter() - started)
            return Response()
        except Refused as refused:
            return refused.response()
        finally:
            self.requests -= 1
            metrics.QUEUE_REQUESTS.dec()
            self.release(sum(map(len, chunks)))

    async def read(self, request: Request, chunks: list[bytes]) -> None:
        """Append the body's chunks to a list; no more of them than there is room for."""
        if self.requests > self.settings.receiver_queue_requests:
            raise Refused(503, "Too many requests wait: send it again.")
        if "x-hub-signature-256" not in request.headers:
            raise Refused(401, "The header X-Hub-Signature-256 is missing.")
        too_large = Refused(413, f"A body may have {MAX_BODY_BYTES} bytes.")
        # The server has checked that it is a number, and lets no more bytes through.
        if int(request.headers.get("content-length", 0)) > MAX_BODY_BYTES:
            raise too_large
        size = 0
        try:
            async with asyncio.timeout(self.settings.receiver_body_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MAX_BODY_BYTES:
                        raise too_large
                    if self.bytes + len(chunk) > self.settings.receiver_queue_bytes:
                        raise Refused(503, "Too many bytes wait: send it again.")
                    chunks.append(chunk)
                    self.bytes += len(chunk)
                    metrics.QUEUE_BYTES.inc(len(chunk))
        except TimeoutError:
            raise Refused(408, "The body took too long.") from None
        except ClientDisconnect:  # nobody hears this
            raise Refused(400, "The body is not complete.") from None

    def release(self, size: int) -> None:
        self.bytes -= size
        metrics.QUEUE_BYTES.dec(size)

    def check_signature(self, request: Request, body: bytes) -> None:
        """Raises Refused unless the body is signed with one of the app secrets."""
        given = request.headers["x-hub-signature-256"].encode("latin-1")
        expected = [
            b"sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest().encode()
            for secret in self.secrets
        ]
        # All of them are compared: the time taken does not tell which secret is in use.
        if not any([hmac.compare_digest(given, signature) for signature in expected]):
            raise Refused(403, "The signature is not of this body and app secret.")

    async def health(self, request: Request) -> Response:
        """The process lives."""
        return PlainTextResponse("ok\n")

    async def ready(self, request: Request) -> Response:
        """Webhooks would be taken in now: room in the queue and on the disk."""
        settings = self.settings
        folder = settings.landing_dir
        problems = []
        if self.requests >= settings.receiver_queue_requests:
            problems.append("Too many requests wait.")
        if self.bytes >= settings.receiver_queue_bytes:
            problems.append("Too many bytes wait.")
        if not os.access(folder, os.W_OK | os.X_OK):
            problems.append("LANDING_DIR cannot be written.")
        elif shutil.disk_usage(folder).free < settings.receiver_segment_bytes:
            problems.append("The disk of LANDING_DIR has no room for one more segment.")
        return PlainTextResponse("\n".join(problems or ["ready"]) + "\n", 503 if problems else 200)

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        return Response(metrics.exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


class Log:
    """One line and one count per request: route, status, milliseconds. No query, address or path.

    A path that no route has is whatever a stranger typed, and a query holds the verify token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()

        def tell(status: int) -> None:
            # `endpoint` is only there where a route was found
            endpoint = scope.get("endpoint")
            route = endpoint.__name__ if endpoint is not None else "none"
            metrics.REQUESTS.labels(route, status).inc()
            logger.info("%s %d %.1f ms", route, status, (time.perf_counter() - started) * 1000)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                tell(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception:
            tell(500)
            raise


def create_app() -> Starlette:
    """One worker's application, with its settings from the environment. Raises SettingsError."""
    settings = ReceiverSettings()
    receiver = Receiver(settings)
    # The path that is registered with Meta, and below it: for one receiver behind several apps.
    hooks = [settings.receiver_path, settings.receiver_path + "/{rest:path}"]
    app = Starlette(
        routes=[
            *(Route(path, receiver.verify, methods=["GET"]) for path in hooks),
            *(Route(path, receiver.webhook, methods=["POST"]) for path in hooks),
            Route("/health", receiver.health),
            Route("/ready", receiver.ready),
            Route("/metrics", receiver.metrics),
        ],
        lifespan=receiver.lifespan,
    )
    app.add_middleware(Log)
    return app
