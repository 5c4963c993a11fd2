"""What Bahi promises, shown on real processes at full length; `make prove` runs it."""
