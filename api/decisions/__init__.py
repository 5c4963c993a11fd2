"""What users decide about their trades: strategies, rules, actions, fills, tariffs; into the log, as requests.

The projector of the accounts stops at a decision that it cannot apply, so everything is checked here, at the door.
"""
