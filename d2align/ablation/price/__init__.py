"""The price of a pixel: AP that each convention allows, and AP lost for each pixel injected."""
