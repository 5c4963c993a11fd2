"""How long tests wait for what must come: a limit of patience, never a measure of speed."""

PATIENCE_SECONDS = 120.0
"""What has not come by then does not come. A slow machine under load takes twenty times as long as a quiet one, and a
wait that is long costs nothing where all is well."""
