"""What trades come to in rupees: lots, gains, tax lots, charges. Pure: no database, no log, no clock, no floats."""
