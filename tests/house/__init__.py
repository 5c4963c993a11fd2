"""What the tests of style stand on: the sources as trees, the rules for one file, the rules for the whole house."""
