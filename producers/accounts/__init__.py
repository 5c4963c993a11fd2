"""The users' accounts: which there are, when each is pulled, and what came of it as events."""
