"""The tests: unit, contract, integration, replay, simulation, acceptance. Servers are real, time is moved by hand."""
