"""What data costs before the first step: `python -m benchmarks.data.preparing`, `.tokenising`, `.streaming`."""
