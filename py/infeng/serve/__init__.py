"""The server: OpenAI's routes over the runner. Knows HTTP and no kernel."""
