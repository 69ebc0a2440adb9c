"""What a request and an answer are, apart from any wire or library. Pure: no network, clock or environment."""
