"""Self-supervised objectives of text, one idea a file."""
