"""How everything stands, as it can be seen from outside: `bahi status` shows it, `bahi doctor` judges it.

Nothing needs to run for it, and nothing is changed by it: what does not answer is said.
"""
