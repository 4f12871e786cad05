"""Values and errors: frozen, on the lowest floor; imports nothing of mailplat."""
