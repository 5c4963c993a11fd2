"""The floor: settings, errors, logs, metrics, clock, lifecycle, secrets, calendar. Imports nothing of Bahi."""
