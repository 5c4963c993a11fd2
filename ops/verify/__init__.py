"""`bahi verify`: account for every event, from the exchange's wire to the last row, and name what does not add up."""
