"""`bahi doctor`: what is wrong here, and the command that mends it. It changes nothing."""
