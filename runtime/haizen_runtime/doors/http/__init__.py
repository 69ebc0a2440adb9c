"""The HTTP doors: plain ASGI, for HTTP/1.1 and h2c alike."""
