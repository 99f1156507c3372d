"""What a serving process imports: the recorder. Loads no server, no numpy, no pyarrow before a batch needs them."""
