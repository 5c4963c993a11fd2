"""From events to tables."""
