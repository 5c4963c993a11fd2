"""From the outside world to events. The only folder with broker SDKs, HTTP and websocket clients."""
