"""Replays: the same events in the same order, to whoever they are played."""
