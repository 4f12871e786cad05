"""Policy, told in coroutines over interfaces: what this user may do."""
