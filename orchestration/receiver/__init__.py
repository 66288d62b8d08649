"""Webhooks over HTTP into landing segments: acknowledged when they are durable, never before. `make receive`."""
