"""uvicorn's HTTP/1.1 with a bound on what is not body: by itself it takes any head, and keeps it in memory."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Of one request: its head, what stands between chunks, its trailer. Meta's and a proxy's have one or two thousand
# bytes; one read from a socket may have so many.
OVERHEAD_BYTES = 256 << 10


class BoundedProtocol(HttpToolsProtocol):
    """Answers 400 and closes when a request has more than OVERHEAD_BYTES besides its body."""

    overhead_bytes = 0

    def on_message_begin(self) -> None:
        self.overhead_bytes = 0
        super().on_message_begin()

    def on_body(self, body: bytes) -> None:
        self.overhead_bytes -= len(body)
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.overhead_bytes += len(data)
        if self.overhead_bytes > OVERHEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The request has too much besides its body.")
