"""The single door: execute, react, measure, assess, publish, rebuild."""
