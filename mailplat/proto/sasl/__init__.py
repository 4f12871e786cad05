"""SASL (RFC 4422), both sides: exchanges as pure state machines, a module for each family."""
