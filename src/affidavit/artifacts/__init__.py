"""Model artifacts: files in by signed manifest, formats told apart, models brought to life from verified bytes. No pickle."""
