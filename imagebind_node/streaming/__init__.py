"""Streaming: what keeps data fresh between sensors and encoders."""
