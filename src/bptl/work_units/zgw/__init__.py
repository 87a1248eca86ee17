"""Work units on the ZGW APIs: zaken and what belongs to them."""
