"""The language and the log: events, codec, decoders, spool, Redis log, archive. The only folder that imports redis."""
