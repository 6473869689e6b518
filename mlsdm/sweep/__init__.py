"""Runs that go into a store: jobs, the one writer, resuming, and what they amount to."""
